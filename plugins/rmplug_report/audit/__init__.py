"""The card of an audit: what was found in the rewards of a model, graded, with examples."""
