"""Differences of the states of pairs, and the least loss over folds of groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import minimize
from scipy.special import expit

from rmplug import DataError, Features, Pairs, text_of
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.stats.metric_rows import number
from rmplug.stats.strength_search import StrengthSearch

from ._states import matrix_of

ROUNDING = 1e-6
"""Size of a dimension beside the largest, below which its differences are rounding: MiniLM has two
of 1e-32."""
Loss: TypeAlias = Callable[[Array], tuple[float, Array]]


def state_differences(states: Features, data: Pairs) -> Array:
    """Compute float64 differences (chosen - rejected) of the states of all pairs, (pairs,
    width)."""
    needed = {"chosen", "rejected"} - set(states.values)
    if needed:
        raise DataError(
            f"{states.name or 'states'} has no vectors chosen and rejected; it has "
            f"{some(states.values, 8)}; ask hidden-state about the pairs"
        )
    if not states["id"].equals(data["id"]):
        raise DataError(
            f"{states.name or 'states'} and {data.name or 'the pairs'} are not of the same rows; "
            "ask hidden-state about these pairs"
        )
    sides = [states[side].combine_chunks() for side in ("chosen", "rejected")]
    chosen, rejected = (matrix_of(side, side.type.list_size, states.name) for side in sides)
    return np.asarray(np.subtract(chosen, rejected, dtype=np.float64))


def length_differences(data: Pairs, measure: str) -> Array:
    """Compute the length of chosen minus that of rejected for each pair."""
    count = pc.utf8_length if measure == "characters" else _count_words
    sides = [count(text_of(data[name])) for name in ("chosen", "rejected")]
    chosen, rejected = (np.asarray(side.to_numpy(), np.float64) for side in sides)
    return chosen - rejected


def _count_words(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.count_substring_regex(texts, r"\S+")


def group_codes(data: Pairs, what: str) -> Array:
    """Number the group of each pair; raises DataError for fewer than two groups."""
    groups = data["group"].combine_chunks().dictionary_encode().indices.to_numpy()
    if len(groups) == 0 or groups.max() < 1:
        raise DataError(
            f"{what} needs pairs of at least 2 groups (prompts), there are {len(groups)} pairs of "
            f"{len(set(groups.tolist()))}; give more data"
        )
    return np.asarray(groups)


def root_mean_squares(differences: Array) -> Array:
    """Compute the root mean square of each dimension; 1 for one that differs by no more than the
    rounding of states in float32, which would weigh as much as any other."""
    sizes = np.sqrt(np.mean(differences**2, axis=0))
    return np.where(sizes > ROUNDING * sizes.max(initial=0.0), sizes, 1.0)


def minimise_loss(loss: Loss, start: Array) -> Array:
    """Find the parameters with the least loss, from a start."""
    result = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(result.x)


def preference_loss(margins: Array) -> tuple[float, Array]:
    """Compute the mean of ``softplus(-margin)``, and its derivative for each margin."""
    return float(np.logaddexp(0, -margins).mean()), -expit(-margins) / len(margins)


def search(
    learn: Callable[[Array, float], Array],
    use: Callable[[Array, Array], Array],
    margins: Callable[[Array], Array],
    part: Array,
    strengths: Sequence[float],
) -> StrengthSearch:
    """Predict each fold from the others: ``learn(rows, strength)`` returns parameters,
    ``use(parameters, rows)`` the values of rows, ``margins(values)`` the margins that the loss is
    computed of."""
    rows = np.arange(len(part))
    held = range(int(part.max()) + 1)
    values, losses = [], np.zeros((len(strengths), len(held)))
    for at, strength in enumerate(strengths):
        predictions: Array | None = None
        for fold in held:
            here = rows[part == fold]
            fold_values = use(learn(rows[part != fold], strength), here)
            predictions = (
                np.empty((len(part), *fold_values.shape[1:]))
                if predictions is None
                else predictions
            )
            predictions[here] = fold_values
            losses[at, fold] = np.logaddexp(0, -margins(fold_values)).mean()
        values.append(predictions)
    stacked = np.stack([v for v in values if v is not None])
    return StrengthSearch(tuple(strengths), part, stacked, losses, np.bincount(part))


def search_numbers(
    search: StrengthSearch, groups: Array, subset: str = "all"
) -> list[dict[str, Any]]:
    """Return rows of metrics on a search: the strength, pairs and groups."""
    counts = {"pairs": len(groups), "groups": len(np.unique(groups))}
    rows = [number(name, count, len(groups), subset=subset) for name, count in counts.items()]
    return [*search.numbers(subset), *rows]
