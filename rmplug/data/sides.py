"""The sides of preference pairs: as rows of responses, and exchanged with all that is said of
each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rmplug.arrays import Array

if TYPE_CHECKING:
    import pyarrow as pa

SIDES = ("chosen", "rejected")
RATINGS = "ratings."


def side_of(batch: pa.RecordBatch, side: str) -> pa.RecordBatch:
    """Return one side of a batch (``chosen``, ``rejected``, ``response``) as rows of ``Responses``,
    with ids ``<id>/chosen`` where there are two; ``prompt`` gives each prompt as its own
    response."""
    import pyarrow as pa

    ids = batch.column("id")
    if side in SIDES:
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


def responses_of(pairs: pa.Table) -> pa.Table:
    """Return the rows of ``Responses`` for pairs, chosen and rejected of each one after the other.

    Ids are ``<id>/chosen`` and ``<id>/rejected``; ``label`` (int8) is 1 for chosen and 0 for
    rejected. Columns ``ratings.chosen.x`` and ``ratings.rejected.x`` become ``ratings.x``,
    ``c.chosen`` and ``c.rejected`` become ``c``; further columns are kept for both.
    """
    import numpy as np
    import pyarrow as pa

    both = pa.concat_tables(
        [_labelled(pairs, side, label) for side, label in zip(SIDES, (1, 0), strict=True)],
        promote_options="permissive",
    )
    return both.take(pa.array(np.arange(2 * len(pairs)).reshape(2, -1).T.reshape(-1)))


def response_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that ``responses_of`` gives for pairs with these columns."""
    known = dict.fromkeys(("id", "group", "prompt", "response", "label"))
    for name in names:
        if name not in SIDES:
            known[_own_name(name, "chosen", names)[0]] = None
    return list(known)


def _labelled(pairs: pa.Table, side: str, label: int) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    columns: dict[str, Any] = {
        "id": pc.binary_join_element_wise(pairs["id"], side, "/"),
        "group": pairs["group"],
        "prompt": pairs["prompt"],
        "response": pairs[side],
        "label": pa.repeat(pa.scalar(label, pa.int8()), pairs.num_rows),
    }
    for name in pairs.column_names:
        if name not in (*columns, *SIDES):
            own, sided = _own_name(name, side, pairs.column_names)
            if sided:
                columns[own] = pairs[name]
    return pa.table(columns)


def _own_name(name: str, side: str, names: Sequence[str]) -> tuple[str, bool]:
    """Return a pair column's name for one response, and true if it describes this side."""
    for other in SIDES:
        if name.startswith(f"{RATINGS}{other}."):
            return RATINGS + name.removeprefix(f"{RATINGS}{other}."), other == side
        stem = name.removesuffix(f".{other}")
        both = f"{stem}.chosen" in names and f"{stem}.rejected" in names
        if stem != name and both and stem not in names:
            return stem, other == side
    return name, True


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
