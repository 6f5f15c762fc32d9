"""Statistics with intervals that respect groups of rows."""
