"""Which pairs a human should label."""
