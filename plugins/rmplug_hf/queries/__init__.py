"""Queries to models."""
