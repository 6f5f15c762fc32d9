"""Names of features, and values of tags."""
