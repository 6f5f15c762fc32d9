"""Rows of text as Arrow tables: read, converted, checked."""
