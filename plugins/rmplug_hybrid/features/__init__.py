"""Features of preference pairs."""
