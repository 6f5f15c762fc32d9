"""Loads models and tokenizers."""
