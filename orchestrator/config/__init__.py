"""What a job file may say, one section a file, and the one way in (``load``)."""
