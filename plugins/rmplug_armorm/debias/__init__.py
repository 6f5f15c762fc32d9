"""Transforms that free attribute rewards of a confound."""
