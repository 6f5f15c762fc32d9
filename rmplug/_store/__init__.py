"""Keeps artifacts and records on disk."""
