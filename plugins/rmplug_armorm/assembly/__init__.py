"""One reward model made of encoder, heads, transform and gate."""
