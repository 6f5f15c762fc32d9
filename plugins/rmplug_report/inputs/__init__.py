"""Inputs of a report, and the wording of its numbers and names."""
