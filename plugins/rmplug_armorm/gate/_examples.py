"""Pairs as a gate reads them: states of prompts, and differences of debiased attribute rewards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, notice
from rmplug.arrays import Array
from rmplug.data.messages import length_gap
from rmplug.data.subsets import subset_rows
from rmplug.errors import some
from rmplug.stats.row_weights import weights_and_margins
from rmplug_armorm.debias._measures import measure_texts
from rmplug_armorm.debias._transform_file import Transform
from rmplug_armorm.heads._heads_file import Heads
from rmplug_armorm.heads._states import matrix_of

SIDES = ("prompt", "chosen", "rejected")
SAME = "chosen and rejected have the same attribute rewards"


@dataclass(frozen=True)
class GateExamples:
    """The training data of a gate, one row per pair; ``lead`` is chosen minus rejected."""

    names: tuple[str, ...]
    prompts: Array
    """Float32 states (n, d)."""
    chosen: Array
    """Debiased rewards (n, K), float64; ``rejected`` too."""
    rejected: Array
    margins: Array
    weights: Array
    """Of mean 1."""
    groups: Array
    ids: Array
    subsets: Array
    """Texts; empty where there is none."""
    longer: Array
    """Characters of chosen minus those of rejected."""

    @property
    def lead(self) -> Array:
        return np.asarray(self.chosen - self.rejected)

    def __len__(self) -> int:
        return len(self.groups)

    def rows_by_subset(self) -> dict[str, Array]:
        """Return the indices of the rows of each named subset, in the order of their names."""
        column = pa.table({"subset": pa.array(self.subsets, pa.string())})
        return dict(sorted(subset_rows(column).items()))

    def at(self, rows: Array) -> GateExamples:
        """Return the rows at these indices."""
        names = [name for name in self.__dataclass_fields__ if name != "names"]
        return GateExamples(self.names, *(getattr(self, name)[rows] for name in names))


def examples_of(heads: Heads, transform: Transform, states: Features, data: Pairs) -> GateExamples:
    """Make examples of the rows of ``data``, with the attribute rewards of their states."""
    prompts, *rewards = rewards_of(heads, states, data)
    table, extra = data.table, transform.names[len(heads.names) :]
    chosen, rejected = (
        transform(np.column_stack([values, measure_texts(table[side], extra)]))
        for side, values in zip(SIDES[1:], rewards, strict=True)
    )
    weights, margins = weights_and_margins(table)
    examples = GateExamples(
        names=transform.names,
        prompts=prompts,
        chosen=chosen,
        rejected=rejected,
        margins=margins,
        weights=weights,
        groups=np.asarray(table["group"].combine_chunks().dictionary_encode().indices),
        ids=np.asarray(table["id"].to_pylist(), dtype=object),
        subsets=subsets_of(table),
        longer=length_gap(table),
    )
    notice(SAME, examples.ids[~examples.lead.any(axis=1)].tolist())
    return examples


def rewards_of(heads: Heads, states: Features, data: Pairs) -> tuple[Array, Array, Array]:
    """Read prompt states (n, d) in float32, and compute raw rewards (n, K) of chosen and rejected,
    a batch at a time: of the states of responses only their K rewards stay in memory."""
    _check_columns(heads, states)
    width = heads.weight.shape[1]
    ids: list[pa.Array] = []
    parts: dict[str, list[Array]] = {side: [] for side in SIDES}
    for batch in states.batches():
        ids.append(batch.column("id"))
        for side in SIDES:
            values = matrix_of(batch.column(side), width, f"{states.name}.{side}")
            kept = values.astype(np.float32) if side == "prompt" else heads.rewards(values)
            _check_finite(kept, batch, f"{states.name}.{side}")
            parts[side].append(kept)
    if not ids or not len(data):
        raise DataError("there is no pair to learn from; give pairs and their states")
    positions = _find_positions(pa.chunked_array(ids, pa.string()), data.table["id"], states.name)
    prompts, chosen, rejected = (np.concatenate(parts[side])[positions] for side in SIDES)
    return prompts, chosen, rejected


def _find_positions(ids: pa.ChunkedArray, wanted: pa.ChunkedArray, name: str) -> Array:
    positions = pc.index_in(wanted, value_set=ids.combine_chunks())
    if positions.null_count:
        lost = wanted.filter(pc.is_null(positions)).to_pylist()
        raise DataError(
            f"{name} has no row for {len(lost)} of {len(wanted)} ids ({some(lost)}); give the "
            "states of the same pairs"
        )
    return np.asarray(positions, dtype=np.int64)


def _check_columns(heads: Heads, states: Features) -> None:
    missing = [side for side in SIDES if side not in states.columns]
    if missing:
        raise DataError(
            f"{states.name} has no column {missing[0]}; give the hidden-state step of the pairs "
            "with part: both"
        )
    width = heads.weight.shape[1]
    for side in SIDES:
        kind = states.rows.schema.field(side).type
        if not pa.types.is_fixed_size_list(kind) or kind.list_size != width:
            raise DataError(
                f"{states.name}.{side} is {kind}, but the heads read states of {width} numbers; "
                "give the states of the model that the heads were fitted on"
            )


def _check_finite(values: Array, batch: pa.RecordBatch, name: str) -> None:
    odd = ~np.isfinite(values).all(axis=1)
    if odd.any():
        ids = batch.column("id").filter(pa.array(odd)).to_pylist()
        raise DataError(f"{name} is not finite in {len(ids)} rows ({some(ids)}); encode them anew")


def subsets_of(table: pa.Table) -> Array:
    """Return the subset of each row, as text; empty where there is none."""
    if "subset" not in table.column_names:
        return np.full(table.num_rows, "", dtype=object)
    return np.asarray(pc.fill_null(table["subset"].cast(pa.string()), "").to_pylist(), object)


@dataclass(frozen=True)
class GateSplit:
    """Row indices for training, for choosing the model, and for measuring it."""

    learnt: Array
    chosen_by: Array
    held: Array


def grouped_parts(groups: Array, held: float, validation: float, seed: int) -> GateSplit:
    """Split rows by whole groups, drawn at random until a part has its share of the rows."""
    count = int(groups.max()) + 1
    if count < 3:
        raise DataError(
            f"a gate needs pairs of at least 3 groups (prompts): some to learn from, some to "
            f"choose by and some to measure on; there are {len(groups)} pairs of {count}"
        )
    order = np.random.default_rng(seed).permutation(count)
    sizes = np.bincount(groups)[order]
    ends = np.cumsum(sizes)
    first = min(1 + int(np.searchsorted(ends, held * len(groups))), count - 2)
    goal = ends[first - 1] + validation * len(groups)
    second = min(max(first, int(np.searchsorted(ends, goal))) + 1, count - 1)
    part = np.empty(count, np.int64)
    part[order] = (np.arange(count) >= first).astype(int) + (np.arange(count) >= second)
    rows = part[groups]
    return GateSplit(
        np.flatnonzero(rows == 2), np.flatnonzero(rows == 1), np.flatnonzero(rows == 0)
    )


def original_parts(rows: int) -> GateSplit:
    """Split rows as the published script does: the first fifth, rounded up, of a permutation of all
    rows is held out; there are no rows to choose by."""
    order = np.random.RandomState(0).permutation(rows)
    count = int(np.ceil(0.2 * rows))
    return GateSplit(order[count:], np.zeros(0, np.int64), order[:count])
