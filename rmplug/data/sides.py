"""The sides of preference pairs: as rows of responses, and exchanged with all that is said of
each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rmplug.arrays import Array

if TYPE_CHECKING:
    import pyarrow as pa


def side_of(batch: pa.RecordBatch, side: str) -> pa.RecordBatch:
    """Return one side of a batch (``chosen``, ``rejected``, ``response``) as rows of ``Responses``,
    with ids ``<id>/chosen`` where there are two; ``prompt`` gives each prompt as its own
    response."""
    import pyarrow as pa

    ids = batch.column("id")
    if side in ("chosen", "rejected"):
        ids = pa.array([f"{name}/{side}" for name in ids.to_pylist()], pa.string())
    prompts = batch.column("prompt")
    responses = prompts if side == "prompt" else batch.column(side)
    return pa.RecordBatch.from_arrays([ids, prompts, responses], names=["id", "prompt", "response"])


def stacked(batch: pa.RecordBatch, sides: Sequence[str]) -> pa.RecordBatch:
    """Return several sides of a batch below each other as rows of ``Responses``: a model that gets
    them at once runs texts of like length together, and equal ones once."""
    import pyarrow as pa

    parts = [side_of(batch, side) for side in sides]
    names = parts[0].schema.names
    columns = [pa.concat_arrays([part.column(name) for part in parts]) for name in names]
    return pa.RecordBatch.from_arrays(columns, names=names)


def exchange_sides(table: pa.Table, turn: Array) -> pa.Table:
    """Exchange the values for the chosen and the rejected response in some rows, in every column
    that has its counterpart (``rejected``, ``rejected_model``, ``ratings.rejected.x``); ``turn`` is
    a mask of shape (rows,)."""
    import numpy as np
    import pyarrow as pa

    count = table.num_rows
    positions = pa.array(np.where(turn, np.arange(count) + count, np.arange(count)))
    columns = {}
    for name in table.column_names:
        other = name.replace("chosen", "\0").replace("rejected", "chosen").replace("\0", "rejected")
        column = table[name]
        if other != name and other in table.column_names:
            sides = pa.chunked_array([*column.chunks, *table[other].chunks], type=column.type)
            column = sides.take(positions)
        columns[name] = column
    return pa.table(columns)
