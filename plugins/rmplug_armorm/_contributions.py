"""Explanations as columns, and attributes measured on pairs."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, RewardModel, some

from ._assembled import AssembledModel, side_of
from ._attribute_numbers import mean_of, measured
from ._gate_numbers import wins
from ._gate_pairs import subsets_of
from ._mixture import Explanation

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
CHOSEN, REJECTED, WEIGHT = "chosen.attribute.", "rejected.attribute.", "weight."
SEED = 0


def explain_responses(model: RewardModel, batch: pa.RecordBatch) -> dict[str, Array]:
    """Columns of each response."""
    found = _explained(model, side_of(batch, "response"))
    names = found[0].attributes
    return {**_weights(found[1], names), **_made_of(found[1], names, "")}


def explain_pairs(model: RewardModel, batch: pa.RecordBatch) -> dict[str, Array]:
    """Columns of each pair; both sides are asked about at once, so that a text is encoded once."""
    sides = [side_of(batch, side) for side in ("chosen", "rejected")]
    together = pa.RecordBatch.from_arrays(
        [pa.concat_arrays([side.column(name) for side in sides]) for name in sides[0].schema.names],
        names=sides[0].schema.names,
    )
    opened, both = _explained(model, together)
    rows, names = batch.num_rows, opened.attributes
    chosen, rejected = (
        Explanation(*(getattr(both, part)[at] for part in Explanation.__dataclass_fields__))
        for at in (slice(0, rows), slice(rows, None))
    )
    return {
        **_weights(chosen, names),
        **_made_of(chosen, names, "chosen."),
        **_made_of(rejected, names, "rejected."),
    }


def _explained(model: RewardModel, rows: pa.RecordBatch) -> tuple[AssembledModel, Explanation]:
    if not isinstance(model, AssembledModel):
        raise DataError(
            f"{model.name or type(model).__name__} has no attributes to explain its scores with; "
            "give a model that assemble made"
        )
    return model, model.explain(rows)


def _weights(found: Explanation, names: tuple[str, ...]) -> dict[str, Array]:
    return {f"{WEIGHT}{name}": found.weights[:, k] for k, name in enumerate(names)}


def _made_of(found: Explanation, names: tuple[str, ...], before: str) -> dict[str, Array]:
    parts = {"attribute": found.rewards, "contribution": found.contributions}
    return {
        f"{before}{part}.{name}": values[:, k]
        for part, values in parts.items()
        for k, name in enumerate(names)
    }


def measure(data: Pairs, contributions: Features) -> dict[str, Any]:
    """Accuracy and mean weight of each attribute by subset, as columns of ``Metrics``."""
    names = [c.removeprefix(CHOSEN) for c in contributions.columns if c.startswith(CHOSEN)]
    if not names:
        raise DataError(
            f"{contributions.name} has no columns {CHOSEN}…; give the contributions of the pairs"
        )
    places = pc.index_in(data["id"], value_set=contributions["id"].combine_chunks())
    if places.null_count:
        lost = data["id"].filter(pc.is_null(places)).to_pylist()
        raise DataError(f"{contributions.name} has no row for {len(lost)} ids ({some(lost)})")
    table = contributions.table.take(places)
    groups = np.asarray(data["group"].combine_chunks().dictionary_encode().indices)
    subsets = subsets_of(data.table)
    every = np.ones(len(data), bool)
    parts = {"all": every} | {s: subsets == s for s in sorted(set(subsets.tolist()) - {""})}
    rows = [
        {**row, "row": name, "column": subset}
        for name in names
        for subset, here in parts.items()
        for row in _of_attribute(table, name, groups, here, subset)
    ]
    fields = ("metric", "subset", "value", "low", "high", "n", "row", "column")
    texts, types = ("metric", "subset", "row", "column"), {"n": pa.int64()}
    return {
        field: pa.array(
            [row[field] for row in rows],
            pa.string() if field in texts else types.get(field, pa.float64()),
        )
        for field in fields
    }


def _of_attribute(
    table: pa.Table, name: str, groups: Array, here: Array, subset: str
) -> list[dict[str, Any]]:
    if not here.any():
        return []
    columns = [np.asarray(table[f"{before}{name}"])[here] for before in (CHOSEN, REJECTED, WEIGHT)]
    values = {"right": wins(columns[0] - columns[1]), "weight": columns[2]}
    statistics = {"accuracy": mean_of("right"), "weight": mean_of("weight")}
    if not np.isfinite(columns[2]).all():
        values.pop("weight"), statistics.pop("weight")
    return measured(values, statistics, groups[here], SEED, subset)
