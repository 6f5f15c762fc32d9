"""The execution of a checked spec."""
