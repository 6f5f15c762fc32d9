"""Rows of metrics as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rmplug import Metrics

Ints = npt.NDArray[np.int64]
NUMBERS = {"value", "low", "high", "p", "p_holm"}
WHOLE = {"n", "count"}


def metrics_of(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> Metrics:
    """Return rows as metrics with these columns; numbers that do not exist are null."""
    fields = []
    for name in columns:
        kind = pa.int64() if name in WHOLE else pa.float64() if name in NUMBERS else pa.string()
        fields.append((name, kind))
    made = [{**row, "value": _finite(row["value"])} for row in rows]
    return Metrics(pa.Table.from_pylist(made, schema=pa.schema(fields)))


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def numbers_of(column: pa.ChunkedArray) -> Ints:
    """Return each distinct text of a column as a number, from 0 in order of occurrence."""
    whole = pa.chunked_array(column.chunks, column.type).combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], column.type)
    return np.asarray(whole.dictionary_encode().indices).astype(np.int64)
