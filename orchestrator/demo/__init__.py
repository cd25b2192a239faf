"""A model and data small enough to try everything on one machine, made offline."""
