"""Explanations as columns, and the accuracy of attributes on pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Responses, RewardModel
from rmplug.arrays import Array
from rmplug.data.rows import Joined
from rmplug.data.sides import stacked
from rmplug.data.subsets import subset_rows
from rmplug.errors import some
from rmplug.stats.metric_rows import mean_of, measured, share_of, wins
from rmplug_armorm.gate._prompts import spread_rows
from rmplug_armorm.heads._states import matrix_of

from ._given_states import prove
from ._mixture import Explanation
from ._model import AssembledModel

CHOSEN, REJECTED, WEIGHT = "chosen.attribute.", "rejected.attribute.", "weight."
SEED = 0


@dataclass(frozen=True)
class Explain:
    """A row-wise computation of scores and their parts. ``states`` names the step with the states,
    in columns ``states.…`` beside ``data.…``; without it the model encodes the texts."""

    sides: tuple[str, ...]
    states: str | None = None

    def __call__(self, model: RewardModel, batch: pa.RecordBatch) -> dict[str, Array]:
        if not isinstance(model, AssembledModel):
            raise DataError(
                f"{model.name or type(model).__name__} has no attributes to explain its scores "
                "with; give a model that assemble made"
            )
        rows = batch if self.states is None else self._part(batch, "data")
        responses = stacked(rows, self.sides)
        if self.states is None:
            states, prompts = model.states_and_prompts(responses)
        else:
            states, prompts = self._read_states(model, rows, self._part(batch, "states"))
        explanation = model.mixture.explain(states, prompts, model.measured(responses))
        return self._columns(model, explanation, prompts)

    def _part(self, batch: pa.RecordBatch, step: str) -> pa.RecordBatch:
        names = [name for name in batch.schema.names if name.startswith(f"{step}.")]
        arrays = [batch.column("id"), *(batch.column(name) for name in names)]
        return pa.RecordBatch.from_arrays(
            arrays, names=["id", *(name.removeprefix(f"{step}.") for name in names)]
        )

    def _read_states(
        self, model: AssembledModel, rows: pa.RecordBatch, states: pa.RecordBatch
    ) -> tuple[Array, Array]:
        matrices = {}
        for side in ("prompt", *self.sides):
            kind = states.schema.field(side).type if side in states.schema.names else None
            if kind is None or not pa.types.is_fixed_size_list(kind):
                raise DataError(
                    f"{self.states} has no states in a column {side}; give the hidden-state step "
                    "of the same rows, with part: both"
                )
            matrices[side] = matrix_of(states.column(side), kind.list_size, f"{self.states}.{side}")
        if rows.num_rows:
            few = spread_rows(rows.num_rows)
            sampled = {side: values[few] for side, values in matrices.items()}
            prove(model, rows.take(pa.array(few)), sampled, str(self.states))
        states = np.concatenate([matrices[side] for side in self.sides])
        return states, np.concatenate([matrices["prompt"]] * len(self.sides))

    def _columns(
        self, model: AssembledModel, explanation: Explanation, prompts: Array
    ) -> dict[str, Any]:
        names, rows = model.attributes, len(explanation.score) // len(self.sides)
        weights = {f"{WEIGHT}{name}": explanation.weights[:rows, k] for k, name in enumerate(names)}
        if self.sides == ("response",):
            return {
                "reward": explanation.score,
                **weights,
                **_made_of(explanation, names, slice(None), ""),
            }
        first, second = slice(0, rows), slice(rows, None)
        chosen, rejected = explanation.score[first], explanation.score[second]
        margin = chosen - rejected
        if model.mixture.gate.compares:
            both = explanation.rewards[first], explanation.rewards[second]
            margin = model.mixture.margins(*both, prompts[first])
        return {
            "chosen": chosen,
            "rejected": rejected,
            "margin": margin,
            **weights,
            **_made_of(explanation, names, first, "chosen."),
            **_made_of(explanation, names, second, "rejected."),
        }


def _made_of(
    explanation: Explanation, names: tuple[str, ...], rows: slice, before: str
) -> dict[str, Array]:
    parts = {"attribute": explanation.rewards, "contribution": explanation.contributions}
    return {
        f"{before}{part}.{name}": values[rows, k]
        for part, values in parts.items()
        for k, name in enumerate(names)
    }


def explain(model: RewardModel, data: Pairs | Responses, states: Features | None) -> Features:
    """Compute the columns of explanations, from texts or from states of the same rows."""
    sides = ("chosen", "rejected") if isinstance(data, Pairs) else ("response",)
    if states is None:
        return data.map(Explain(sides), open=model.open)
    beside = Features(Joined({"data": data.rows, "states": states.rows}), data.name)
    return beside.map(Explain(sides, states.name or "states"), open=model.open)


def measure(data: Pairs, contributions: Features) -> dict[str, Any]:
    """Measure accuracy and mean weight of each attribute by subset: columns of ``Metrics``."""
    names = [c.removeprefix(CHOSEN) for c in contributions.columns if c.startswith(CHOSEN)]
    if not names:
        raise DataError(
            f"{contributions.name} has no columns {CHOSEN}…; give the contributions of the pairs"
        )
    positions = pc.index_in(data["id"], value_set=contributions["id"].combine_chunks())
    if positions.null_count:
        lost = data["id"].filter(pc.is_null(positions)).to_pylist()
        raise DataError(f"{contributions.name} has no row for {len(lost)} ids ({some(lost)})")
    table = contributions.table.take(positions)
    groups = np.asarray(data["group"].combine_chunks().dictionary_encode().indices)
    parts = {"all": np.arange(len(data)), **dict(sorted(subset_rows(data.table).items()))}
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
    if not len(here):
        return []
    columns = [np.asarray(table[f"{before}{name}"])[here] for before in (CHOSEN, REJECTED, WEIGHT)]
    values = {"right": wins(columns[0] - columns[1]), "weight": columns[2]}
    statistics = {"accuracy": share_of("right"), "weight": mean_of("weight")}
    if not np.isfinite(columns[2]).all():
        values.pop("weight"), statistics.pop("weight")
    return measured(values, statistics, groups[here], SEED, subset)
