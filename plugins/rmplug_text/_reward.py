"""The query for rewards of the rows of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.self_checks import check_again, finite_spread, places_to_check

PLAIN = "reward"
VERDICT = ("margin", "probability", "loss")
UNSCORED = "score is not a finite number"


@dataclass(frozen=True)
class ScoreResponses:
    """The row-wise scores of responses."""

    on_missing: str
    store: Sequence[str] | None = None
    checked: frozenset[str] = frozenset()
    """The ids of rows that are scored again, each alone."""

    def __call__(self, model: RewardModel, batch: pa.RecordBatch) -> dict[str, Array]:
        check_given(self.store, (PLAIN,), "responses")
        scores = scores_of(model, batch, self.on_missing)
        if len(places := places_to_check(batch, self.checked)):
            check_scores(model, scores, batch, places)
        return {named(PLAIN, name): scores[:, index] for index, name in enumerate(model.outputs)}


@dataclass(frozen=True)
class ScorePairs:
    """The row-wise scores of both responses of pairs, with margin, probability and loss."""

    on_missing: str
    store: Sequence[str] | None = None
    checked: frozenset[str] = frozenset()
    """The ids of pairs whose responses are scored again, each alone."""

    def __call__(self, model: RewardModel, batch: pa.RecordBatch) -> dict[str, Array]:
        margins = model.compare(batch)
        if margins is not None:
            verdict = preferred(checked(model, margins, batch, self.on_missing, "compare"))
            check_given(self.store, VERDICT, "pairs")
            return {name: verdict[name] for name in verdict if self._keeps(name)}
        check_given(self.store, ("chosen", "rejected", *VERDICT), "pairs")
        responses, count = responses_of(batch), batch.num_rows
        scores = scores_of(model, responses, self.on_missing, sides=True)
        if len(places := places_to_check(batch, self.checked)):
            check_scores(model, scores, responses, np.concatenate([places, places + count]), True)
        chosen, rejected = scores[: batch.num_rows], scores[batch.num_rows :]
        return {
            named(name, output): values
            for index, output in enumerate(model.outputs)
            for name, values in compared(chosen[:, index], rejected[:, index]).items()
            if self._keeps(name)
        }

    def _keeps(self, name: str) -> bool:
        return self.store is None or name in self.store


def check_scores(
    model: RewardModel, scores: Array, responses: pa.RecordBatch, places: Array, pairs: bool = False
) -> None:
    """Compare the scores of some rows with those that the model gives of each of them alone."""
    part = responses.take(pa.array(places))
    ids = part.column("id").to_pylist()
    again = partial(scores_of, model, part, "keep")
    check_again(
        model, "scores", scores[places], again, ids, spread=finite_spread(scores), pairs=pairs
    )


def check_given(store: Sequence[str] | None, given: Sequence[str], what: str) -> None:
    """Refuse to store what the query does not give: the check cannot always know the data."""
    absent = [name for name in store or () if name not in given]
    if absent:
        raise DataError(f"store names {absent[0]}, but of {what} there is {some(given)}")


def named(column: str, output: str) -> str:
    """Return the column of an output; one called ``reward`` is the plain one."""
    return column if output == PLAIN else f"{column}.{output}"


def compared(chosen: Array, rejected: Array) -> dict[str, Array]:
    """Return scores, and margin, probability and loss from their difference."""
    with np.errstate(invalid="ignore"):
        margin = chosen - rejected
    return {"chosen": chosen, "rejected": rejected, **preferred(margin)}


def preferred(margin: Array) -> dict[str, Array]:
    """Compute margin, probability and loss (Bradley and Terry, 1952); exact for large margins."""
    with np.errstate(invalid="ignore"):
        loss = np.logaddexp(0.0, -margin)
    return {"margin": margin, "probability": np.exp(-loss), "loss": loss}


def responses_of(pairs: pa.RecordBatch) -> pa.RecordBatch:
    """Return all chosen, then all rejected responses, each with the other columns of its pair."""
    ids = pairs.column("id").to_pylist()
    columns = {
        "id": pa.array(
            [f"{id}/{side}" for side in ("chosen", "rejected") for id in ids], pa.string()
        )
    }
    for name in pairs.schema.names:
        if name not in ("id", "chosen", "rejected", "response"):
            columns[name] = pa.concat_arrays([pairs.column(name)] * 2)
    columns["response"] = pa.concat_arrays([pairs.column("chosen"), pairs.column("rejected")])
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def scores_of(
    model: RewardModel, responses: pa.RecordBatch, on_missing: str, sides: bool = False
) -> Array:
    """Return the model's scores, of shape (rows, outputs); refuse or count non-finite ones. With
    ``sides``, the responses are the chosen and then the rejected ones of pairs."""
    rows, width = responses.num_rows, len(model.outputs)
    if not rows:
        return np.zeros((0, width))
    output = model.score_sides(responses) if sides else model.score(responses)
    return checked(model, output, responses, on_missing, "score").reshape(rows, width)


def checked(
    model: RewardModel, output: Any, asked: pa.RecordBatch, on_missing: str, method: str
) -> Array:
    """Return the output of a model as finite float64, of the shape that it must have."""
    scores = np.asarray(output)
    rows, width = asked.num_rows, len(model.outputs) if method == "score" else 1
    shapes = [(rows, width)] if width > 1 else [(rows,), (rows, 1)]
    if scores.shape not in shapes or scores.dtype.kind not in "fiu":
        what = "responses" if method == "score" else "pairs"
        raise DataError(
            f"{type(model).__name__}.{method} gave {scores.dtype} of shape {scores.shape} for "
            f"{rows} {what}; with the outputs {', '.join(model.outputs)} it must give numbers of "
            f"shape {' or '.join(str(shape) for shape in shapes)}"
        )
    scores = scores.astype(np.float64)
    _check_finite(scores.reshape(rows, width), asked, on_missing)
    return scores if width > 1 else scores.reshape(rows)


def _check_finite(scores: Array, asked: pa.RecordBatch, on_missing: str) -> None:
    odd = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if not len(odd):
        return
    ids = asked.column("id").take(pa.array(odd)).to_pylist()
    if on_missing == "keep":
        notice(UNSCORED, ids)
        return
    what = "responses" if "response" in asked.schema.names else "pairs"
    shown = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    raise DataError(
        f"the model gave no finite score for {len(ids)} of {asked.num_rows} {what} "
        f"({shown}); set on_missing: keep to go on with what is missing"
    )
