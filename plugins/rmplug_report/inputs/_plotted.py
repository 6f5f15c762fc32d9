"""The rows of each plot: two columns of the inputs, joined by id, with groups and subsets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Artifact, DataError, Fit, Pairs, Responses
from rmplug.arrays import Array
from rmplug.artifacts import Identified
from rmplug.errors import did_you_mean, some
from rmplug.known import column_of, column_type, no_column

from ._contributions import Floats

Texts = npt.NDArray[np.object_]
SIDES = ("chosen", "rejected")
OTHERS = "others"
MOST_SUBSETS, MOST_CATEGORIES = 6, 12


@dataclass(frozen=True)
class Plotted:
    """The rows of one plot that have both values."""

    target: str
    by: str
    x: Floats | None
    """The numbers to draw by; None where there are categories."""
    categories: Texts | None
    y: Floats
    groups: Array
    """The number of each row's group (prompt)."""
    subsets: Texts | None
    """The subset of each row, at most six and ``others``; None where no data tells any."""
    joined: int
    """Rows before those without a finite value were left out."""


@dataclass(frozen=True)
class Column:
    """One column of an input, by its full name."""

    name: str
    column: str
    ids: pa.Array
    values: pa.Array
    groups: pa.Array | None

    @property
    def side(self) -> str:
        """The response of a pair that the column is about by its name; empty if about neither."""
        head = self.column.split(".")[0]
        return head if head in SIDES else ""

    def of_response(self) -> pa.Array:
        """Return the ids of the responses that a column of pairs is about."""
        return pc.binary_join_element_wise(self.ids, self.side, "/")


def plotted(items: Sequence[Artifact], plots: Mapping[str, Sequence[str]]) -> list[Plotted]:
    """Find and join the columns of all plots; a ``DataError`` names one that cannot be drawn."""
    subsets = dict(_subsets(items))
    drawn = []
    for target, names in plots.items():
        upwards = _find(target, items)
        if column_type(upwards.values.type) == "text":
            raise DataError(f"plots: {target} holds texts; the target of a plot must be numbers")
        drawn += [_joined(upwards, _find(name, items), subsets) for name in names]
    return drawn


def _find(name: str, items: Sequence[Artifact]) -> Column:
    around = [item for item in items if item.name and name.startswith(f"{item.name}.")]
    if not around:
        names = list(dict.fromkeys(item.name for item in items if item.name))
        hint = did_you_mean(name.partition(".")[0], names)
        raise DataError(f"plots: no input has {name!r}{hint} (inputs: {some(names, 8)})")
    columns: list[str] = []
    for item in around:
        column = name.removeprefix(f"{item.name}.")
        table = _table(item, column)
        if column in table.columns:
            return _column(name, column, table)
        columns += table.columns
    raise DataError(f"plots: {name}: {no_column(column, columns)}")


def _table(item: Artifact, column: str) -> Identified:
    if isinstance(item, Fit) and column in getattr(item.tables.get("rows"), "column_names", ()):
        return column_of(item, column)
    if not isinstance(item, Identified):
        raise DataError(f"plots: {item.name}.{column}: {type(item).__name__} has no such column")
    return item


def _column(name: str, column: str, table: Identified) -> Column:
    values, ids = _whole(table, column), _whole(table, "id")
    kind = column_type(values.type)
    if kind not in ("number", "boolean", "text"):
        raise DataError(f"plots: {name} holds {values.type}; a plot takes numbers or texts")
    groups = _whole(table, "group") if "group" in table.columns else None
    return Column(name, column, ids, values, groups)


def _whole(table: Identified, column: str) -> pa.Array:
    whole = table.column(column).combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole


def _joined(target: Column, by: Column, subsets: Mapping[str, str]) -> Plotted:
    ids, at = _rows(target, by)
    found = np.flatnonzero(np.asarray(pc.is_valid(at)))
    y = _floats(target.values.take(pa.array(found)))
    other = at.take(pa.array(found))
    values = by.values.take(other)
    keep = np.isfinite(y)
    x = categories = None
    if column_type(values.type) != "number":
        named = np.array(values.cast(pa.string()).to_pylist(), dtype=object)
        keep &= np.array([bool(one) for one in named], dtype=bool)
        categories = _most(named[keep].tolist(), MOST_CATEGORIES)
    else:
        x = _floats(values)
        keep &= np.isfinite(x)
        x = x[keep]
    rows = pa.array(found[keep])
    groups = (target.groups if target.groups is not None else ids).take(rows)
    if target.groups is None and by.groups is not None:
        groups = by.groups.take(other.filter(pa.array(keep)))
    numbered = np.asarray(groups.dictionary_encode().indices)
    parts = _named(ids.take(rows).to_pylist(), subsets)
    return Plotted(target.name, by.name, x, categories, y[keep], numbered, parts, joined=len(found))


def _rows(target: Column, by: Column) -> tuple[pa.Array, pa.Array]:
    """Return the ids of the target's rows, and the row of ``by`` that belongs to each (null where
    there is none): the same id, or the response of a pair that a column's name tells."""
    if target.ids.equals(by.ids):
        return target.ids, pa.array(np.arange(len(by.ids)))
    tries = [(target.ids, by.ids)]
    if target.side:
        tries.append((target.of_response(), by.ids))
    if by.side:
        tries.append((target.ids, by.of_response()))
    for ids, others in tries:
        at = pc.index_in(ids, value_set=others)
        if at.null_count < len(at):
            _refuse_repeated(target, ids, by, others)
            return ids, at
    raise DataError(
        f"plots: {target.name} and {by.name} have no row in common; if one is about pairs and the "
        "other about responses, turn the features of pairs into those of responses with "
        "per-response, or take both from the pairs"
    )


def _refuse_repeated(target: Column, ids: pa.Array, by: Column, others: pa.Array) -> None:
    for column, each in ((target, ids), (by, others)):
        if len(each.unique()) < len(each):
            raise DataError(
                f"plots: ids of {column.name} repeat, so that rows of {target.name} and {by.name} "
                "cannot be joined; filter to one row of each id first"
            )


def _floats(values: pa.Array) -> Floats:
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, dtype=np.float64)


def _subsets(items: Sequence[Artifact]) -> Iterator[tuple[str, str]]:
    """Yield the subset of each row of the data, by id."""
    for item in items:
        if isinstance(item, Pairs | Responses) and "subset" in item.columns:
            ids, names = item.column("id").to_pylist(), item.column("subset").to_pylist()
            yield from ((id, str(name)) for id, name in zip(ids, names, strict=True) if name)


def _named(ids: Sequence[str], subsets: Mapping[str, str]) -> Texts | None:
    """Return the subset of each row; a response of a pair has that of the pair."""
    if not subsets:
        return None
    named = [subsets.get(id) or subsets.get(id.rpartition("/")[0], "") for id in ids]
    return _most(named, MOST_SUBSETS) if any(named) else None


def _most(names: Sequence[str], most: int) -> Texts:
    """Return names, all but the most frequent as ``others``."""
    counts = Counter(name for name in names if name)
    kept = {name for name, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:most]}
    return np.array([name if name in kept else OTHERS for name in names], dtype=object)
