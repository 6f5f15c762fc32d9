"""Conversations as tokens, and tokens as batches."""
