"""Loose images into groups: a data file that trains, and a picture of each group for a look."""
