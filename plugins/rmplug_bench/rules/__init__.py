"""Benchmark rules."""
