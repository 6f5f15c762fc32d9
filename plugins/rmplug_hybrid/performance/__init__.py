"""Models of what human labels are worth."""
