"""Sets of pairs that buy a human label."""
