"""Gates: how much each attribute counts for a prompt."""
