"""Drift of a target with the position in a conversation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Pairs, Responses, notice
from rmplug.stats.estimates import Estimate, mean
from rmplug.stats.interval_texts import decimals, interval_text, number_text
from rmplug.stats.metric_rows import number
from rmplug_tabular._feature_matrix import Examples

from ._shares import LEVEL, p_value
from ._structure import Prompts, Shuffler

AXIS = "turns before the response"
FEWEST_ROWS, FEWEST_GROUPS = 10, 5


def turns_before(data: Pairs | Responses, ids: pa.Array) -> np.ndarray:
    """Return the number of messages before the response of each id, NaN where the data lack it;
    ``<pair id>/chosen`` and ``<pair id>/rejected`` are responses of a pair."""
    turns = pc.cast(pc.list_value_length(data["prompt"]), pa.float64())
    at = pc.index_in(ids, value_set=data["id"])
    if isinstance(data, Pairs):
        pair = pc.replace_substring_regex(ids, "/(chosen|rejected)$", "")
        at = pc.coalesce(at, pc.index_in(pair, value_set=data["id"]))
    return np.asarray(turns.take(at).to_numpy(zero_copy_only=False), dtype=float)


def drift_numbers(
    examples: Examples, prompts: Prompts, turns: np.ndarray, predicted: np.ndarray,
    shuffler: Shuffler, permutations: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the points of two curves, the target and its held-out residual less their means by
    position, and the change per turn with its p-value from permuted targets."""
    unknown = ~np.isfinite(turns)
    notice("no conversation in data", examples.ids.filter(pa.array(unknown)).to_pylist())
    if len(np.unique(turns[~unknown])) < 2:
        return []
    target = examples.target
    null = _null_slopes(target, turns, shuffler, permutations)
    slopes = {}
    points: list[dict[str, Any]] = []
    lines = {"target": target, "left over by the features": target - predicted}
    for name, values in lines.items():
        slopes[name] = _slope(values[~unknown], turns[~unknown])
        points += _points(name, values, turns, prompts.of)
    slope = slopes["target"]
    low, high = slope.interval(prompts.of[~unknown])
    p = p_value(abs(slope.value), np.abs(null))
    row = number("drift-per-turn", slope.value, int((~unknown).sum()), low, high)
    if points:
        points[0]["sentence"] = _sentence(slope.value, low, high, p)
    left = slopes["left over by the features"]
    rest = number("drift-per-turn-left-over", left.value, row["n"])
    rest["low"], rest["high"] = left.interval(prompts.of[~unknown])
    return [{**row, "p": p}, rest, *points]


def _points(
    name: str, values: np.ndarray, turns: np.ndarray, groups: np.ndarray
) -> list[dict[str, Any]]:
    """Return a point for each position with enough rows and prompts."""
    centred = values - values[np.isfinite(turns)].mean()
    points = []
    for turn in np.unique(turns[np.isfinite(turns)]):
        inside = turns == turn
        if inside.sum() < FEWEST_ROWS or len(np.unique(groups[inside])) < FEWEST_GROUPS:
            continue
        at = mean(centred[inside])
        bounds = at.interval(groups[inside])
        row = number("drift", at.value, int(inside.sum()), *bounds)
        points.append({**row, "at": float(turn), "axis": AXIS, "model": name})
    return points


def _slope(values: np.ndarray, turns: np.ndarray) -> Estimate:
    """Estimate the change of the values per turn, by least squares."""
    apart = turns - turns.mean()
    variance = float(apart @ apart) / len(apart)
    slope = float(apart @ values) / len(apart) / variance
    rest = values - values.mean() - slope * apart
    return Estimate(slope, apart * rest / variance, "plain")


def _null_slopes(
    target: np.ndarray, turns: np.ndarray, shuffler: Shuffler, permutations: int
) -> np.ndarray:
    means, deviations = shuffler.permuted(target, permutations)
    known = np.isfinite(turns)
    permuted = (means[shuffler.prompts.of] + deviations)[known]
    apart = turns[known] - turns[known].mean()
    return np.asarray(apart @ permuted / (apart @ apart))


def _sentence(slope: float, low: float | None, high: float | None, p: float) -> str:
    if low is None or high is None or p > LEVEL:
        return f"No drift with the turns before the response is seen beyond chance (p {p:.3f})."
    size = number_text(slope, decimals(low, high), signed=True)
    return (
        f"With each turn before the response the target changes by {size} "
        f"(95 % CI {interval_text(low, high)}, p {p:.3f})."
    )
