"""Paired differences of two models: the one test that decides what the page says of them."""

from __future__ import annotations

from typing import Any

from ._inputs import Row

LEVEL = 0.05


def is_significant(row: Row) -> bool:
    """Whether a paired difference is not zero: by Holm's p, without one by its interval."""
    if row.get("p_holm") is not None:
        return bool(row["p_holm"] < LEVEL)
    return row.get("low") is not None and (row["low"] > 0 or row["high"] < 0)


def p_text(p: Any) -> str:
    """A p-value."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
