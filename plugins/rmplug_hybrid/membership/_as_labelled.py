"""Features of pairs, turned where chosen and rejected were exchanged."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, text_of
from rmplug.arrays import Array
from rmplug.errors import some

SIDES = {"chosen": "rejected", "rejected": "chosen"}
SIGNED = ("margin", "difference")


def turn_features(features: Features, of: Pairs, data: Pairs) -> Features:
    """Return the features of the rows of ``data``, turned where the pair was."""
    if not features["id"].equals(of["id"]):
        raise DataError(
            f"{features.name or 'features'} are not of the rows of {of.name or 'of'}; give the "
            "pairs that they were computed on"
        )
    positions = find_rows(of, data)
    turned = find_exchanged(of.take(positions), data)
    original = features.table.take(positions)
    columns = {name: turn_column(original, name, turned) for name in features.values}
    return Features({"id": data["id"], "group": data["group"], **columns})


def find_rows(of: Pairs, data: Pairs) -> pa.Array:
    """Find the row of each pair of ``data`` in ``of``."""
    positions = pc.index_in(data["id"], value_set=of["id"]).combine_chunks()
    if positions.null_count:
        missing = data["id"].filter(pc.is_null(positions)).to_pylist()
        raise DataError(
            f"{of.name or 'of'} has no pair {some(missing)}; give the pairs that data was made of"
        )
    return positions


def find_exchanged(before: Pairs, after: Pairs) -> Array:
    """Mark the pairs whose responses are exchanged; raises DataError for other responses."""
    old, new = ([text_of(pairs[side]) for side in SIDES] for pairs in (before, after))
    same = pc.and_(pc.equal(old[0], new[0]), pc.equal(old[1], new[1]))
    turned = pc.and_(pc.equal(old[0], new[1]), pc.equal(old[1], new[0]))
    other = pc.invert(pc.or_(same, turned))
    if pc.any(other).as_py():
        raise DataError(
            f"the responses of {some(after['id'].filter(other).to_pylist())} are not those that "
            "the features were computed on; give the same pairs, labelled anew"
        )
    return np.asarray(pc.and_(turned, pc.invert(same))).astype(bool)


def turn_column(table: pa.Table, name: str, turned: Array) -> pa.Array:
    """Return a column, from the other side or with the other sign where a pair was turned."""
    side, dot, rest = name.partition(".")
    column = table[name].combine_chunks()
    other = f"{SIDES[side]}{dot}{rest}" if side in SIDES else name
    if other != name and other in table.column_names:
        rows = np.where(turned, np.arange(len(turned)) + len(turned), np.arange(len(turned)))
        return pa.concat_arrays([column, table[other].combine_chunks()]).take(pa.array(rows))
    if side in SIGNED:
        values = column.to_numpy(zero_copy_only=False)
        return pa.array(np.where(turned, -values, values))
    return column
