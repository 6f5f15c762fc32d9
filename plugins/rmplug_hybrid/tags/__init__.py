"""Tags of a prompt's contents, as 0/1 features."""
