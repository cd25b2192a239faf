"""From data files to rows in one form: which files, which readers, which columns."""
