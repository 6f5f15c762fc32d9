"""Changes to a response whose effect on its quality is known."""
