"""Choice of the pairs that a human should label."""
