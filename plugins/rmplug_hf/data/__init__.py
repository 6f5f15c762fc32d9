"""Data sets of the `datasets` library."""
