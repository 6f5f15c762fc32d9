"""What a linear head is trained on: states of rows, and what they should say."""

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
from rmplug.stats.row_weights import weights_and_margins
from rmplug_hf.loading._encoder import EncoderModel, pooled_states
from rmplug_hf.queries._states import States, side_of

from ._newton import Loss

if TYPE_CHECKING:
    from .heads import LinearHead

CHECKED = 4


@dataclass(frozen=True)
class Examples:
    """What a head is trained on: float64 rows (n, d) and their target, weight, group and id.

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
    step: LinearHead, model: EncoderModel, data: Pairs | Responses, states: Features | None
) -> Examples:
    """The rows to learn from, with their states."""
    if isinstance(data, Pairs):
        if step.target is not None:
            raise DataError(
                f"target {step.target} belongs to responses; pairs are learnt by Bradley-Terry: "
                "leave target out"
            )
        return _preferences(model, data.table, states)
    return _ratings(model, *_rated(data.table, step.target), states)


def _preferences(model: EncoderModel, table: pa.Table, states: Features | None) -> Examples:
    groups = _groups(table)
    chosen, rejected = _states(model, table, states, ("chosen", "rejected"))
    weights, margins = weights_and_margins(table)
    rows = chosen - rejected
    same = np.asarray(~rows.any(axis=1))
    notice("chosen and rejected have the same states", _ids(table, same), "kept")
    if same.all():
        raise DataError("chosen and rejected have the same states in all pairs: nothing to learn")
    return Examples(
        rows, margins, weights, groups, Loss("logistic"), np.zeros(rows.shape[1]), 0.0, table
    )


def _rated(table: pa.Table, target: str | None) -> tuple[pa.Table, Array]:
    """The rows with a rating, and the ratings."""
    numeric = [
        f.name for f in table.schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)
    ]
    if target not in numeric:
        said = "needs a target" if target is None else f"finds no numeric column {target!r}"
        raise DataError(
            f"linear-head {said} to learn from responses; write target: and one of "
            f"{', '.join(numeric) or 'the numeric columns (there are none)'}"
        )
    values = np.asarray(pc.fill_null(table[target].cast(pa.float64()), np.nan).to_numpy())
    known = np.isfinite(values)
    notice(f"{target} is missing", _ids(table, ~known), "dropped")
    return table.filter(pa.array(known)), values[known]


def _ratings(
    model: EncoderModel, table: pa.Table, ratings: Array, states: Features | None
) -> Examples:
    groups = _groups(table)
    [rows] = _states(model, table, states, ("response",))
    weights, _ = weights_and_margins(table)
    centre = weights @ rows / weights.sum()
    mean = float(weights @ ratings / weights.sum())
    return Examples(
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
    model: EncoderModel, table: pa.Table, states: Features | None, sides: Sequence[str]
) -> list[Array]:
    """Float64 states of each side, from ``states`` where given, else encoded now."""
    if states is None:
        batch = one_batch(table)
        return [_encoded(model, batch, side).astype(np.float64) for side in sides]
    missing = [side for side in sides if side not in states.columns]
    if missing:
        raise DataError(
            f"{states.name} has no column {missing[0]}; give the hidden-state step of the same "
            "data (part: response or both)"
        )
    places = pc.index_in(table["id"], value_set=states["id"].combine_chunks())
    if places.null_count:
        lost = _ids(table, np.asarray(places.is_null()))
        raise DataError(f"{states.name} has no row for {len(lost)} ids ({', '.join(lost[:5])})")
    found = [_matrix(states[side].take(places)) for side in sides]
    _prove(model, table, found, sides, states.name)
    return [values.astype(np.float64) for values in found]


def _prove(
    model: EncoderModel, table: pa.Table, found: Sequence[Array], sides: Sequence[str], name: str
) -> None:
    """Encodes a few rows again: states of another model, layer or pooling are refused."""
    few = np.unique(np.linspace(0, table.num_rows - 1, CHECKED).astype(np.int64))
    batch = one_batch(table.take(pa.array(few)))
    for side, values in zip(sides, found, strict=True):
        anew, given = _encoded(model, batch, side), values[few]
        apart = "of another width"
        if anew.shape == given.shape:
            far = np.linalg.norm(anew - given, axis=1) / np.maximum(
                np.linalg.norm(anew, axis=1), 1e-12
            )
            tolerance = 1e-3 if model.step.dtype in ("auto", "float32") else 5e-2
            if (far <= tolerance).all():
                continue
            apart = f"{far.max():.0%} away"
        raise DataError(
            f"the states {name} are not those of this encoder and data: {side} of "
            f"{batch.column('id')[0].as_py()} and others are {apart}; ask the same encoder with "
            "hidden-state, without layer and pooling (the encoder has its own)"
        )


def _encoded(model: EncoderModel, batch: pa.RecordBatch, side: str) -> Array:
    return pooled_states(model, side_of(batch, side), States())


def _matrix(column: pa.ChunkedArray) -> Array:
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(flat).reshape(len(column), -1)


def _ids(table: pa.Table, rows: Array) -> list[str]:
    found: list[str] = table["id"].filter(pa.array(rows)).to_pylist()
    return found
