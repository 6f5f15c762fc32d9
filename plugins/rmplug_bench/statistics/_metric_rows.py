"""Rows of a table of metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Metrics
from rmplug.stats.intervals import NO_BOUND, Bounds

Row = dict[str, Any]

TYPES = {"value": pa.float64(), "low": pa.float64(), "high": pa.float64(), "n": pa.int64()}
TYPES |= {name: pa.float64() for name in ("at", "kl", "p", "p_holm", "p_mcnemar")}
"""Columns that are numbers; all others are texts."""


def metric_row(
    metric: str, subset: str, value: Any, n: Any, bound: Bounds = NO_BOUND, **more: Any
) -> Row:
    """Return one number with its interval; a value that does not exist is null."""
    return {
        "metric": metric,
        "subset": subset,
        "value": None if not np.isfinite(value) else float(value),
        "low": bound[0],
        "high": bound[1],
        "n": int(n),
        **more,
    }


def metrics_of(rows: Iterable[Row], columns: Iterable[str]) -> Metrics:
    """Return the rows as a table with these columns."""
    schema = pa.schema([(name, TYPES.get(name, pa.string())) for name in columns])
    return Metrics(pa.Table.from_pylist(list(rows), schema=schema))
