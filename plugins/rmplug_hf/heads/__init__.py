"""Linear heads on frozen encoders."""
