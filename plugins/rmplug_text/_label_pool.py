"""The rows that can be chosen for labelling, and the selection of those that were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Responses, Selection, notice
from rmplug.arrays import Array
from rmplug.errors import some

from ._sampling import codes_of, whole_number

NEW = "new"


@dataclass(frozen=True)
class LabelPool:
    """The rows of data by number: their ids, their groups, and those chosen before, in order."""

    ids: pa.Array
    groups: Array
    before: Array

    @classmethod
    def of(cls, data: Pairs | Responses, chosen: Selection | None) -> LabelPool:
        ids = data.column("id").combine_chunks()
        groups = codes_of(pc.fill_null(data.column("group"), ""))
        return cls(ids, groups, rows_of(chosen, ids, data.name))

    def free(self, one_per_group: bool) -> Array:
        """Return a mask of the rows that can still be chosen."""
        free = np.ones(len(self.ids), dtype=bool)
        free[self.before] = False
        if one_per_group:
            free &= ~np.isin(self.groups, self.groups[self.before])
        return free

    def aligned(self, features: Features) -> pa.Table:
        """Return the features of the rows, in their order; raises DataError where any is
        missing."""
        rows = pc.index_in(self.ids, value_set=features.column("id").combine_chunks())
        if rows.null_count:
            lacking = self.ids.filter(pc.is_null(rows)).to_pylist()
            raise DataError(
                f"{features.name} has no row for {len(lacking)} of {len(self.ids)} ids "
                f"({some(lacking)}); give features of the same data"
            )
        same = rows.equals(pa.array(np.arange(len(rows)), rows.type))
        return features.table if same else features.table.take(rows)

    def leave_out(self, free: Array, finite: Array, what: str) -> Array:
        """Return the mask without rows that are not finite, which a notice names."""
        odd = self.ids.filter(pa.array(free & ~finite)).to_pylist()
        notice(what, odd, "dropped")
        return np.asarray(free & finite)

    def select(
        self, chosen: Selection | None, rows: Array, gain: Array, reasons: Sequence[str]
    ) -> Selection:
        """Return the selection: rows chosen before, then these."""
        fresh = pa.table(
            {
                "id": self.ids.take(pa.array(rows)),
                "gain": pa.array(gain, pa.float64()),
                "reason": pa.array(reasons, pa.string()),
                NEW: pa.array(np.ones(len(rows), dtype=bool)),
            }
        )
        if chosen is None:
            return Selection(fresh)
        count = len(chosen)
        unknown = {"gain": pa.nulls(count, pa.float64()), "reason": pa.nulls(count, pa.string())}
        known = {n: chosen.table[n] if n in chosen.columns else v for n, v in unknown.items()}
        earlier = {"id": chosen.table["id"], **known, NEW: pa.array([False] * count, pa.bool_())}
        return Selection(pa.concat_tables([pa.table(earlier, schema=fresh.schema), fresh]))


def rows_of(selection: Selection | None, ids: pa.Array, name: str) -> Array:
    """Return the numbers of the rows that were selected, in the order of choice."""
    if selection is None:
        return np.zeros(0, dtype=np.int64)
    named = selection.table["id"].combine_chunks()
    rows = pc.index_in(named, value_set=ids)
    if rows.null_count:
        strange = named.filter(pc.is_null(rows)).to_pylist()
        raise DataError(
            f"{selection.name or 'the selection'} names {len(strange)} rows that "
            f"{name or 'the data'} does not have ({some(strange)}); choose from the same data"
        )
    return np.asarray(rows.to_numpy(zero_copy_only=False), dtype=np.int64)


def new_ids(selection: Selection) -> pa.ChunkedArray:
    """Return the ids that a step has chosen anew; all where a selection does not tell."""
    table = selection.table
    return table.filter(table[NEW])["id"] if NEW in table.column_names else table["id"]


def budget(n: int | None, fraction: float | None, rows: int) -> int:
    """Return the number of rows to choose of all."""
    return whole_number(rows, n, fraction)


def first_of_groups(order: Array, groups: Array) -> Array:
    """Return the rows of an order that are the first of their group."""
    _, firsts = np.unique(groups[order], return_index=True)
    return np.asarray(order[np.sort(firsts)])
