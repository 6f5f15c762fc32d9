"""Comparisons of reward models."""
