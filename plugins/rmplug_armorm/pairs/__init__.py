"""More pairs than people labelled."""
