"""Rows of metrics about changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Metrics
from rmplug.stats.intervals import Bounds

from ._counterfactual_arrays import Change
from .columns import CHANGE

Row = dict[str, Any]
WHOLE_NUMBERS = {"n", "dose"}
NUMBERS = {"value", "low", "high", "p", "q", "power", "detectable", "length_alone"}
"""All other columns are texts, but for ``targeted``."""


def row_of(metric: str, subset: str, change: Change, value: Any, bounds: Bounds, n: int) -> Row:
    """Return a row of metrics; a number that does not exist is null."""
    row = {"metric": metric, "subset": subset, "value": finite(value), "low": finite(bounds[0]),
           "high": finite(bounds[1]), "n": n}  # fmt: skip
    return named(row, change)


def named(row: Row, change: Change) -> Row:
    """Return a row with the names of a change."""
    return {**row, **{name: getattr(change, name) for name in CHANGE}}


def finite(value: float | None) -> float | None:
    """Return a number, or None for one that does not exist."""
    return float(value) if value is not None and np.isfinite(value) else None


def metrics_of(rows: Sequence[Row], columns: Sequence[str]) -> Metrics:
    """Return rows as a table with these columns."""
    schema = pa.schema([(name, _type_of(name)) for name in columns])
    return Metrics(pa.Table.from_pylist(list(rows), schema=schema))


def _type_of(column: str) -> pa.DataType:
    if column in WHOLE_NUMBERS:
        return pa.int64()
    if column == "targeted":
        return pa.bool_()
    return pa.float64() if column in NUMBERS else pa.string()
