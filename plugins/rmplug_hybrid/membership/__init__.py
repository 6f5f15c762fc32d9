"""Numbers and tags as named features that a pair has or has not."""
