"""The binning of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rmplug import DataError
from rmplug.arrays import Array


def bin_of(values: Array, edges: Sequence[float]) -> Array:
    """Return the bin of each value, from 0: half-open, the last one closed; NaN if outside or
    missing."""
    limits = np.asarray(edges, dtype=np.float64)
    bins = np.searchsorted(limits, values, side="right") - 1.0
    bins[values == limits[-1]] = len(limits) - 2
    bins[~((values >= limits[0]) & (values <= limits[-1]))] = np.nan
    return bins


def quantile_edges(name: str, column: pa.ChunkedArray, count: int) -> tuple[float, ...]:
    """Return edges of ``count`` bins with equally many of the values that are not missing."""
    values = numbers(name, column)
    present = values[~np.isnan(values)]
    if not len(present):
        return (0.0, 0.0)
    edges = np.unique(np.quantile(present, np.linspace(0.0, 1.0, count + 1))).tolist()
    return tuple(edges) if len(edges) > 1 else (edges[0], edges[0])


def numbers(name: str, column: pa.Array | pa.ChunkedArray) -> Array:
    if pa.types.is_fixed_size_list(column.type):
        raise DataError(f"column {name!r} holds vectors; only plain numbers are cut into bins")
    return np.array(column.to_numpy(zero_copy_only=False), dtype=np.float64)


@dataclass(frozen=True)
class Cut:
    """The row-wise bins of the values of some columns, with the edges of each column."""

    edges: tuple[tuple[str, tuple[float, ...]], ...]

    def __call__(self, batch: pa.RecordBatch) -> dict[str, Array]:
        return {
            name: bin_of(numbers(name, batch.column(name)), edges) for name, edges in self.edges
        }
