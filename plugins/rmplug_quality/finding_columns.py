"""The columns of findings: those that count a fault, and those of an audit's metrics."""

from __future__ import annotations

FLAGS = (
    "copy",
    "conflicts",
    "identical",
    "near.copy",
    "leaked",
    "disagrees",
    "personal",
    "secrets",
)
"""The columns of this package's kinds that count a fault where they are above 0."""
COLUMNS = (
    *("metric", "subset", "value", "low", "high", "n"),
    *("count", "finding", "p", "p_holm", "sentence"),
)
