"""A search on Ray Tune: each trial a whole elastic training of its own."""
