"""Published benchmark files."""
