"""Loaders of published benchmarks, and the layouts of their rows."""
