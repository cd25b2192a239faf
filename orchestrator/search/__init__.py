"""A search in plain values: what to try, what came of it, what is best. No Ray, no torch."""
