"""Nearest neighbours by cosine: exact, in blocks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from rmplug import DataError, Features, notice
from rmplug.arrays import Array
from rmplug.models.devices import device_of

QUERIES, KEYS = 1024, 8192


def neighbours(vectors: Features, k: int, duplicate: float, device: str) -> Features:
    """Compute the columns of ``Neighbours`` for each row."""
    table = vectors.table
    matrix, usable = _directions(_matrix(vectors))
    notice("vector is all zeros or has NaN", table["id"].filter(pa.array(~usable)).to_pylist())
    near, counts = np.full((len(matrix), k), np.nan, np.float32), np.zeros(len(matrix))
    if usable.any():
        groups = _groups(table)[usable]
        near[usable], counts[usable] = _nearest(matrix[usable], groups, k, duplicate, device)
    finite = np.isfinite(near)
    alone = ~finite[:, 0]
    total = np.where(finite, near, 0).sum(axis=1, dtype=np.float64)
    keys = {name: table[name] for name in ("id", "group") if name in table.column_names}
    values = {
        "nearest.similarity": near[:, 0].astype(np.float64),
        "density": np.where(alone, np.nan, total / np.maximum(finite.sum(axis=1), 1)),
        "duplicates": np.where(alone, np.nan, counts),
        "duplicate": np.where(alone, np.nan, counts > 0),
    }
    return Features({**keys, **values}, vectors.name)


def _matrix(vectors: Features) -> Array:
    column = vectors.only()
    if not pa.types.is_fixed_size_list(column.type):
        raise DataError(
            f"neighbours needs vectors, but {vectors.name} holds numbers; name a vector column "
            "such as embedding.prompt"
        )
    flat = np.concatenate([_flat(chunk) for chunk in column.chunks] or [np.empty(0, np.float32)])
    return flat.reshape(len(column), column.type.list_size)


def _flat(chunk: pa.Array) -> Array:
    if chunk.null_count:
        empty = pa.array([float("nan")] * chunk.type.list_size, chunk.type.value_type)
        chunk = pa.array(
            [row if row is not None else empty.to_pylist() for row in chunk.to_pylist()], chunk.type
        )
    return np.asarray(chunk.flatten().to_numpy(zero_copy_only=False), dtype=np.float32)


def _directions(matrix: Array) -> tuple[Array, Array]:
    """Scale rows to length 1, and return a mask of those that are not zero."""
    sizes = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    usable = np.isfinite(sizes[:, 0]) & (sizes[:, 0] > 0)
    return (matrix / np.where(usable[:, None], sizes, 1)).astype(np.float32), usable


def _groups(table: pa.Table) -> Array:
    """Return a group number per row; without groups every row has its own."""
    name = "group" if "group" in table.column_names else "id"
    coded = pc.dictionary_encode(table[name].combine_chunks())
    return np.asarray(coded.indices, dtype=np.int64)


def _nearest(
    matrix: Array, groups: Array, k: int, duplicate: float, device: str
) -> tuple[Array, Array]:
    """Return the ``k`` greatest cosines to rows of other groups, greatest first, NaN where there
    are fewer; and the number of those that are at least ``duplicate``."""
    on_device = device_of(device)
    rows, marks = torch.from_numpy(matrix).to(on_device), torch.from_numpy(groups).to(on_device)
    near, counts = np.full((len(matrix), k), np.nan, np.float32), np.zeros(len(matrix))
    with torch.inference_mode():
        for start in range(0, len(matrix), QUERIES):
            part = slice(start, start + QUERIES)
            best = torch.full((len(rows[part]), k), -torch.inf, device=on_device)
            for similar in _others(rows, marks, part):
                counts[part] += (similar >= duplicate).sum(dim=1).cpu().numpy()
                greatest = similar.topk(min(k, similar.shape[1]), dim=1).values
                best = torch.cat([best, greatest], dim=1).topk(k, dim=1).values
            near[part] = best.cpu().numpy()
    near[np.isneginf(near)] = np.nan
    return near, counts


def _others(rows: torch.Tensor, marks: torch.Tensor, part: slice) -> Iterator[torch.Tensor]:
    """Yield cosines of some rows with all rows, a block at a time; -inf within a group."""
    for start in range(0, len(rows), KEYS):
        keys = slice(start, start + KEYS)
        similar = (rows[part] @ rows[keys].T).clamp_(-1, 1)
        yield similar.masked_fill_(marks[part, None] == marks[None, keys], -torch.inf)
