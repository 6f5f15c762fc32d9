"""Columns as numbers, and 0/1 features as a sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features
from rmplug.arrays import Array


def read_numbers(column: pa.Array | pa.ChunkedArray) -> Array:
    """Read a column as float64 values, shape (rows,); what is missing is NaN."""
    filled = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.float64)


def read_matrix(features: Features) -> tuple[list[str], Any]:
    """Read 0/1 features, a batch at a time: their names, and a sparse matrix (rows, features).

    The matrix is a ``scipy.sparse.csr_matrix`` of uint8: sum it with a wider type.
    """
    from scipy import sparse

    names = features.values
    blocks = [_make_block(batch, names, features.name) for batch in features.batches()]
    empty = sparse.csr_matrix((0, len(names)), dtype=np.uint8)
    return names, sparse.vstack([empty, *blocks], format="csr", dtype=np.uint8)


def _make_block(batch: pa.RecordBatch, names: Sequence[str], step: str) -> Any:
    from scipy import sparse

    rows_with = [_find_rows_with(batch.column(name), name, step, batch) for name in names]
    row_indices = np.concatenate([np.empty(0, np.int32), *rows_with])
    columns = np.repeat(
        np.arange(len(names), dtype=np.int32), [len(members) for members in rows_with]
    )
    ones = np.ones(len(row_indices), dtype=np.uint8)
    return sparse.csr_matrix((ones, (row_indices, columns)), shape=(batch.num_rows, len(names)))


def _find_rows_with(column: pa.Array, name: str, step: str, batch: pa.RecordBatch) -> Array:
    if pa.types.is_boolean(column.type) and not column.null_count:
        return np.flatnonzero(column.to_numpy(zero_copy_only=False)).astype(np.int32)
    values = None if pa.types.is_fixed_size_list(column.type) else read_numbers(column)
    odd = [0] if values is None else np.flatnonzero((values != 0) & (values != 1))
    if values is None or len(odd):
        where = "" if values is None else f" ({batch.column('id')[int(odd[0])]})"
        raise DataError(
            f"{step}.{name} has values other than 0 and 1{where}; cut it into bins first, with the "
            "step membership"
        )
    return np.flatnonzero(values).astype(np.int32)
