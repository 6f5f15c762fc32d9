"""Similarity and length of the two responses of a pair."""
