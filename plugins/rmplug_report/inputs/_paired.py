"""Paired differences of two models, and the one test that decides the page's wording about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._inputs import Row
from ._metric_lookup import MetricLookup
from ._row_forms import is_comparison

LEVEL = 0.05


def is_significant(row: Row) -> bool:
    """Check whether a paired difference is not zero: by Holm's p, else by its interval."""
    if row.get("p_holm") is not None:
        return bool(row["p_holm"] < LEVEL)
    return row.get("low") is not None and (row["low"] > 0 or row["high"] < 0)


def difference_of(
    metrics: Sequence[Row], lookup: MetricLookup, model: str, other: str
) -> Row | None:
    """Return the paired difference in accuracy of two models on all pairs, first minus second.

    A tested difference (with Holm's p) comes before one that has only an interval, so that the page
    never contradicts the test of the same two models. None where they were not compared.
    """
    tested = [
        row
        for row in metrics
        if is_comparison(row) and row["metric"] == "difference" and row.get("low") is not None
        and str(row.get("subset") or "all") == "all"
        and {row.get("model"), row["other"]} == {model, other}
    ]  # fmt: skip
    if tested:
        first = min(tested, key=lambda row: row.get("p_holm") is None)
        return first if first["model"] == model else _turned(first)
    over = lookup.row(model, f"accuracy-over-{other}")
    return over if over is not None and over["low"] is not None else None


def _turned(row: Row) -> Row:
    ends = {"value": -row["value"], "low": -row["high"], "high": -row["low"]}
    return {**row, **ends, "model": row["other"], "other": row["model"]}


def p_text(p: Any, *, equals: bool = False) -> str:
    """Format a p-value; with an equals sign inside a sentence."""
    if p is None:
        return "–"
    if p < 0.001:
        return "< 0.001"
    return f"= {p:.3f}" if equals else f"{p:.3f}"
