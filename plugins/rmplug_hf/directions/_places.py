"""The places that states come from, such as a layer, and the rows of all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, PlanView
from rmplug.arrays import Array
from rmplug.errors import some

SIDES = ("chosen", "rejected")
LAYER = re.compile(r"(?:^|\.)layer-(\d+)$")


@dataclass(frozen=True)
class Place:
    """Vectors of one table: a column, or the two columns of a pair's sides.

    ``layer`` is the number of the hidden state, as in `hidden-state`; None is the one that the
    model has for its own. ``pooling`` is None likewise.
    """

    name: str
    states: Features
    columns: tuple[str, ...]
    layer: int | None = None
    pooling: str | None = None

    @property
    def width(self) -> int:
        """Numbers per state."""
        return int(self.states.rows.schema.field(self.columns[0]).type.list_size)


@dataclass(frozen=True)
class StateRows:
    """The rows of all places: each response of a pair is one, ``<id>/chosen`` and
    ``<id>/rejected``; ``groups`` count from 0."""

    base: pa.Array
    ids: pa.Array
    groups: Array
    sided: bool

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def group_count(self) -> int:
        return int(self.groups.max(initial=-1)) + 1


def name_of(step: str, column: str) -> str:
    """Return the name of a column without the side of a pair, which rows have instead."""
    first, _, rest = column.partition(".")
    return ".".join(part for part in (step, rest if first in (*SIDES, "response") else column)
                    if part)  # fmt: skip


def couples(columns: Sequence[str]) -> dict[tuple[str, ...], None]:
    """Return the columns, those of the two sides of a pair together, in order."""
    found: dict[tuple[str, ...], None] = {}
    for column in columns:
        side, _, rest = column.partition(".")
        both = tuple(f"{one}.{rest}" if rest else one for one in SIDES)
        twofold = side in SIDES and all(one in columns for one in both)
        found[both if twofold else (column,)] = None
    return found


def places_of(states: Sequence[Features], plan: PlanView | None) -> list[Place]:
    """Return every place of some tables: each vector is one, those of both sides together."""
    places: dict[str, Place] = {}
    for table in states:
        vectors = [c for c in table.values if pa.types.is_fixed_size_list(_type(table, c))]
        if not vectors:
            raise DataError(f"{table.name} has no vectors; give a step hidden-state")
        for columns in couples(vectors):
            sided = len(columns) == 2 or columns[0].partition(".")[0] == "response"
            name = name_of(table.name, columns[0]) if sided else f"{table.name}.{columns[0]}"
            if name in places:
                raise DataError(f"two columns of states are called {name}; rename a step")
            layer, pooling = _read_at(table.name, columns[0], plan)
            places[name] = Place(name, table, columns, layer, pooling)
    return list(places.values())


def _type(table: Features, column: str) -> pa.DataType:
    return table.rows.schema.field(column).type


def _read_at(step: str, column: str, plan: PlanView | None) -> tuple[int | None, str | None]:
    """Return the layer and the pooling of states, by their name and by the step that read them."""
    made = next((one for one in plan.steps if one.id == step), None) if plan else None
    params = made.params if made is not None and made.kind == "hidden-state" else {}
    found = LAYER.search(column)
    return int(found[1]) if found else params.get("layer"), params.get("pooling")


def rows_of(places: Sequence[Place]) -> StateRows:
    """Return the rows of all places, which must have the same ids; raises DataError."""
    first = places[0].states
    base = first.column("id").combine_chunks()
    for place in places:
        _position(base, place)
    sided = any(len(place.columns) == 2 for place in places)
    ids = pa.concat_arrays([_with_side(base, side) for side in SIDES]) if sided else base
    names = first.column("group").combine_chunks() if "group" in first.columns else base
    groups = np.asarray(names.dictionary_encode().indices, dtype=np.int64)
    return StateRows(base, ids, np.tile(groups, 2) if sided else groups, sided)


def _with_side(ids: pa.Array, side: str) -> pa.Array:
    return pc.binary_join_element_wise(ids, pa.scalar(side, ids.type), "/")


def _position(base: pa.Array, place: Place) -> pa.Array:
    """Return where a place has each row; raises DataError where it lacks one."""
    at = pc.index_in(base, value_set=place.states.column("id").combine_chunks())
    if at.null_count:
        lost = base.filter(pc.is_null(at)).to_pylist()
        raise DataError(
            f"{place.states.name} has no row for {len(lost)} ids ({some(lost, 5)}); give states "
            "of the same data"
        )
    return at


def read_states(place: Place, rows: StateRows) -> Array:
    """Read the float64 states of a place, of shape (rows, width); raises DataError for numbers that
    are missing or not finite."""
    at = _position(rows.base, place)
    parts = [_matrix(place.states.column(column), at) for column in place.columns]
    if rows.sided and len(parts) == 1:
        parts *= 2
    states = np.concatenate(parts)
    odd = ~np.isfinite(states).all(axis=1)
    if odd.any():
        names = rows.ids.filter(pa.array(odd)).to_pylist()
        raise DataError(
            f"the states {place.name} are not finite numbers in {len(names)} rows "
            f"({some(names, 5)}); leave these rows out"
        )
    return states


def _matrix(column: pa.ChunkedArray, at: pa.Array) -> Array:
    values = column.take(at).combine_chunks()
    if values.null_count:
        return np.full((len(values), column.type.list_size), np.nan)
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float64).reshape(len(values), -1)
