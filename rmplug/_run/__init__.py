"""Runs a checked spec."""
