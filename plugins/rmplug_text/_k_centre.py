"""k-centre greedy: rows that cover all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features, Pairs, Responses, Selection
from rmplug.arrays import Array

from ._label_pool import LabelPool, rows_of

BLOCK = 8192
"""Rows whose distances to all earlier centres are held at a time."""


def choose_diverse(
    data: Pairs | Responses,
    vectors: Sequence[Features],
    candidates: Selection | None,
    chosen: Selection | None,
    size: int,
    one_per_group: bool,
) -> Selection:
    """Choose rows far from each other and from those chosen before."""
    pool = LabelPool.of(data, chosen)
    matrix = matrix_of(pool, vectors)
    free = pool.free(one_per_group)
    why = {}
    if candidates is not None:
        rows = rows_of(candidates, pool.ids, data.name)
        free &= np.isin(np.arange(len(free)), rows)
        reasons = candidates.table["reason"].to_pylist() if "reason" in candidates.columns else []
        why = dict(zip(rows.tolist(), reasons, strict=False))
    finite = np.asarray(np.isfinite(matrix).all(axis=1))
    free = pool.leave_out(free, finite, "no finite vector")
    matrix[~finite] = 0
    before = pool.before[finite[pool.before]]
    groups = pool.groups if one_per_group else None
    rows, gain = k_centre(matrix, free, before, size, groups)
    reasons = [_reason(why.get(row), first=not len(before) and not i) for i, row in enumerate(rows)]
    return pool.select(chosen, rows, gain, reasons)


def _reason(candidate: str | None, first: bool) -> str:
    own = "nearest to the mean" if first else "farthest from those chosen before"
    return f"{candidate}; {own}" if candidate else own


def k_centre(
    matrix: Array, free: Array, before: Array, size: int, groups: Array | None = None
) -> tuple[Array, Array]:
    """Choose up to ``size`` rows of the mask ``free``, each the farthest from the rows chosen so
    far and the rows ``before``, at most one of a group where these are given.

    ``matrix`` has float32 vectors, shape (rows, width), and is centred in place. Returns the rows
    in order of choice, and the distance of each to its nearest earlier one.
    """
    open_rows = np.flatnonzero(free)
    # centred, a difference of squares loses fewer digits
    matrix -= matrix.mean(axis=0, dtype=np.float64).astype(np.float32) if len(matrix) else 0
    inner, earlier = matrix[open_rows], matrix[before]
    squares = np.einsum("ij,ij->i", inner, inner)
    nearest = _nearest(inner, squares, earlier)
    own_groups = None if groups is None else groups[open_rows]
    rows, gains = np.empty(size, dtype=np.int64), np.empty(size)
    at = _farthest(nearest if len(before) else -squares)
    for k in range(size):
        if at < 0:
            return rows[:k], gains[:k]
        distance = squares[at] if np.isinf(nearest[at]) else nearest[at]
        rows[k], gains[k] = open_rows[at], np.sqrt(max(float(distance), 0.0))
        new = squares - 2 * (inner @ inner[at]) + squares[at]
        # a row that cannot be chosen any more stays at minus infinity
        np.minimum(nearest, np.maximum(new, 0), out=nearest)
        nearest[at if own_groups is None else own_groups == own_groups[at]] = -np.inf
        at = _farthest(nearest)
    return rows, gains


def _farthest(nearest: Array) -> int:
    """Return the place of the farthest row; -1 where none is left."""
    at = int(np.argmax(nearest)) if len(nearest) else -1
    return at if at >= 0 and nearest[at] > -np.inf else -1


def _nearest(inner: Array, squares: Array, centres: Array) -> Array:
    """Return squared distances to the nearest centre, infinite without any, shape (rows,)."""
    nearest = np.full(len(inner), np.inf, dtype=np.float32)
    sizes = np.einsum("ij,ij->i", centres, centres)
    for start in range(0, len(inner) if len(centres) else 0, BLOCK):
        part = slice(start, start + BLOCK)
        squared = squares[part, None] - 2 * (inner[part] @ centres.T) + sizes
        nearest[part] = np.maximum(squared.min(axis=1), 0)
    return nearest


def matrix_of(pool: LabelPool, vectors: Sequence[Features]) -> Array:
    """Return all vectors and numbers side by side as float32, shape (rows, width)."""
    parts = [
        _numbers(table[name])
        for table in map(pool.aligned, vectors)
        for name in table.column_names
        if name not in ("id", "group")
    ]
    if not parts:
        raise DataError("diverse needs vectors or numbers; give features with columns")
    return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


def _numbers(column: pa.ChunkedArray) -> Array:
    """Return a column of vectors as it is, or one of numbers with a standard deviation of 1."""
    if pa.types.is_fixed_size_list(column.type):
        width = column.type.list_size
        matrix = np.empty((len(column), width), dtype=np.float32)
        start = 0
        for chunk in column.chunks:
            rows = chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
            if len(rows) != len(chunk):
                raise DataError("diverse needs a vector in every row; there are rows without one")
            matrix[start : start + len(rows)] = rows
            start += len(rows)
        return matrix
    values = np.asarray(column.to_numpy(), dtype=np.float64)
    finite = values[np.isfinite(values)]
    spread = float(finite.std()) if len(finite) else 0.0
    return np.asarray(values / (spread or 1.0), dtype=np.float32)[:, None]
