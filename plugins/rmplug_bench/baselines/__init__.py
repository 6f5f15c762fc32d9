"""Content-blind baselines."""
