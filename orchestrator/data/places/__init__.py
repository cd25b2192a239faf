"""Where media lie, what may be read of it, and how it is read."""
