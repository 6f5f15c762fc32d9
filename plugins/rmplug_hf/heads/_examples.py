"""The training examples of a linear head: states of rows, and their targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Responses, notice
from rmplug.arrays import Array
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of, stacked
from rmplug.models.head_encoders import NEAR
from rmplug.models.state_encoder import StateEncoder
from rmplug.stats.row_weights import weights_and_margins
from rmplug_hf.loading._encoder import EncoderModel

from ._newton import Loss

if TYPE_CHECKING:
    from .heads import LinearHead

CHECKED = 4


@dataclass(frozen=True)
class StateExamples:
    """The examples of a head: float64 rows (n, d) and their target, weight, group and id.

    Rows are differences of states and the target a margin, or rows are states (centred) and the
    target a rating (centred); ``centre`` and ``mean`` are what was taken away.
    """

    rows: Array
    target: Array
    weights: Array
    groups: Array
    loss: Loss
    centre: Array
    mean: float
    table: pa.Table


def examples_of(
    step: LinearHead, model: StateEncoder, data: Pairs | Responses, states: Features | None
) -> StateExamples:
    """Return the rows to learn from, with their states."""
    if isinstance(data, Pairs):
        if step.target is not None:
            raise DataError(
                f"target {step.target} belongs to responses; pairs are learnt by Bradley-Terry: "
                "leave target out"
            )
        return _preferences(model, data.table, states)
    return _ratings(model, *_rated(data.table, step.target), states)


def _preferences(model: StateEncoder, table: pa.Table, states: Features | None) -> StateExamples:
    groups = _groups(table)
    chosen, rejected = _states(model, table, states, ("chosen", "rejected"))
    weights, margins = weights_and_margins(table)
    rows = chosen - rejected
    same = np.asarray(~rows.any(axis=1))
    notice("chosen and rejected have the same states", _ids(table, same), "kept")
    if same.all():
        raise DataError("chosen and rejected have the same states in all pairs: nothing to learn")
    return StateExamples(
        rows, margins, weights, groups, Loss("logistic"), np.zeros(rows.shape[1]), 0.0, table
    )


def _rated(table: pa.Table, target: str | None) -> tuple[pa.Table, Array]:
    """Select the rows with a rating, and return the ratings."""
    numeric = [
        f.name for f in table.schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)
    ]
    if target not in numeric:
        reason = "needs a target" if target is None else f"finds no numeric column {target!r}"
        raise DataError(
            f"linear-head {reason} to learn from responses; write target: and one of "
            f"{', '.join(numeric) or 'the numeric columns (there are none)'}"
        )
    values = np.asarray(pc.fill_null(table[target].cast(pa.float64()), np.nan).to_numpy())
    rated = np.isfinite(values)
    notice(f"{target} is missing", _ids(table, ~rated), "dropped")
    return table.filter(pa.array(rated)), values[rated]


def _ratings(
    model: StateEncoder, table: pa.Table, ratings: Array, states: Features | None
) -> StateExamples:
    groups = _groups(table)
    [rows] = _states(model, table, states, ("response",))
    weights, _ = weights_and_margins(table)
    centre = weights @ rows / weights.sum()
    mean = float(weights @ ratings / weights.sum())
    return StateExamples(
        rows - centre, ratings - mean, weights, groups, Loss("squared"), centre, mean, table
    )


def _groups(table: pa.Table) -> Array:
    coded = table["group"].combine_chunks().dictionary_encode()
    groups = np.asarray(coded.indices, dtype=np.int64)
    if len(groups) == 0 or groups.max() < 1:
        raise DataError(
            f"linear-head needs rows of at least 2 groups (prompts), there are {len(groups)} rows "
            f"of {len(set(groups.tolist()))}; give more data"
        )
    return groups


def _states(
    model: StateEncoder, table: pa.Table, states: Features | None, sides: Sequence[str]
) -> list[Array]:
    """Return float64 states of each side: those of ``states``, or else newly encoded."""
    if states is None:
        values = model.vectors(stacked(one_batch(table), sides))
        return np.split(values.astype(np.float64), len(sides))
    missing = [side for side in sides if side not in states.columns]
    if missing:
        raise DataError(
            f"{states.name} has no column {missing[0]}; give the hidden-state step of the same "
            "data (part: response or both)"
        )
    rows = pc.index_in(table["id"], value_set=states["id"].combine_chunks())
    if rows.null_count:
        lost = _ids(table, np.asarray(rows.is_null()))
        raise DataError(f"{states.name} has no row for {len(lost)} ids ({', '.join(lost[:5])})")
    selected = [_matrix(states[side].take(rows)) for side in sides]
    _prove(model, table, selected, sides, states.name)
    return [values.astype(np.float64) for values in selected]


def _prove(
    model: StateEncoder, table: pa.Table, stored: Sequence[Array], sides: Sequence[str], name: str
) -> None:
    """Encode a few rows again, to refuse states of another model, layer or pooling."""
    few = np.unique(np.linspace(0, table.num_rows - 1, CHECKED).astype(np.int64))
    batch = one_batch(table.take(pa.array(few)))
    for side, values in zip(sides, stored, strict=True):
        new, old = model.vectors(side_of(batch, side)), values[few]
        apart = "of another width"
        if new.shape == old.shape:
            far = np.linalg.norm(new - old, axis=1) / np.maximum(np.linalg.norm(new, axis=1), 1e-12)
            if (far <= (1e-3 if _is_exact(model) else NEAR)).all():
                continue
            apart = f"{far.max():.0%} away"
        raise DataError(
            f"the states {name} are not those of this encoder and data: {side} of "
            f"{batch.column('id')[0].as_py()} and others are {apart}; ask the same encoder with "
            "hidden-state, without layer and pooling (the encoder has its own)"
        )


def _is_exact(model: StateEncoder) -> bool:
    """Check for float32 in this process: elsewhere, batches of other sizes round otherwise."""
    return isinstance(model, EncoderModel) and model.step.dtype in ("auto", "float32")


def _matrix(column: pa.ChunkedArray) -> Array:
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(flat).reshape(len(column), -1)


def _ids(table: pa.Table, rows: Array) -> list[str]:
    ids: list[str] = table["id"].filter(pa.array(rows)).to_pylist()
    return ids
