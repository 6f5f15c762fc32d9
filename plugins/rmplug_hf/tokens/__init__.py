"""The tokens of conversations, and their batches."""
