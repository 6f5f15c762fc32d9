"""Findings: sentences that the numbers support."""
