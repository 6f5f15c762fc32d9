"""Attributes that count for the chosen response in some prompts, and against it in others.

A softmax over attributes gives no weight below 0, so it cannot follow them. On pairs held out,
constant weights are fitted to each segment of the prompts by Bradley-Terry; a weight has a sign
where its interval, corrected for the number of weights that are tested, lies on one side of 0. The
segments are the subsets of the pairs and, for each attribute, the prompts for which weights learnt
on the other pairs are above and below 0, so that no column has to name them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.special import stdtrit

from rmplug import notice
from rmplug.arrays import Array
from rmplug.stats.metric_rows import number

from ._constant import fit_weights
from ._examples import GateExamples

ERROR = 0.05
"""The chance that any attribute at all is named by chance."""
GROUPS = 8
"""Groups of a segment for each attribute: with fewer, the intervals are too narrow."""
COMPONENTS, SAMPLE, MOST_ROWS = 16, 1000, 20_000
PENALTY = 1e-2
"""On the weights that say which prompts are in which segment."""
ABOVE, BELOW = "prompts of learnt weight above 0", "prompts of learnt weight below 0"
REMEDY = "a softmax over attributes cannot give such weights: write weights: signed"


@dataclass(frozen=True)
class SegmentWeight:
    """The weight of an attribute in a segment of the held-out pairs, with its interval."""

    attribute: int
    segment: str
    value: float
    low: float
    high: float
    pairs: int

    @property
    def sign(self) -> int:
        return int(self.low > 0) - int(self.high < 0)


Contrast: TypeAlias = tuple[SegmentWeight, ...]
"""Weights of one attribute, the least first: one at least is below 0, one above."""


@dataclass(frozen=True)
class _Estimate:
    """Weights (K,) with their standard errors, and the degrees of freedom of these."""

    weights: Array
    errors: Array
    freedom: int
    pairs: int


Segments: TypeAlias = Mapping[str, _Estimate]


def measure_signs(
    learnt: GateExamples, held: GateExamples, l2: float, signed: bool
) -> list[dict[str, Any]]:
    """Count attributes with weights of both signs, and return these weights; also a notice where
    the gate is not ``signed``. Empty where the held-out pairs are too few to test."""
    tests, contrasts = find_contrasts(learnt, held, l2)
    if not tests:
        return []
    attributes = sorted({contrast[0].attribute for contrast in contrasts})
    if not signed:
        what = f"weights of opposite sign for different prompts, held out; {REMEDY}"
        notice(what, [held.names[k] for k in attributes], of="attributes")
    sentence = _sentence(held, contrasts, len(attributes), signed) if attributes else None
    count = {**number("opposite-signs", len(attributes), len(held)), "sentence": sentence}
    return [count, *(_row(held.names, one) for contrast in contrasts for one in contrast)]


def _row(names: Sequence[str], one: SegmentWeight) -> dict[str, Any]:
    metric = f"weight-of-{names[one.attribute]}"
    return number(metric, one.value, one.pairs, one.low, one.high, one.segment)


def _sentence(
    held: GateExamples, contrasts: Sequence[Contrast], attributes: int, signed: bool
) -> str:
    """Write the weights of the first contrast, of subsets where there are any, and the remedy."""
    low, high = contrasts[0][0], contrasts[0][-1]
    name = held.names[low.attribute]
    more = attributes - 1
    others = f", and {more} more attribute{'s' * (more > 1)} likewise" if more else ""
    sentence = (
        f"On {len(held)} held-out pairs, {name} counts for the chosen response in {high.segment} "
        f"({_interval(high)}) and against it in {low.segment} ({_interval(low)}){others}"
    )
    return f"{sentence}." if signed else f"{sentence}; {REMEDY}."


def _interval(one: SegmentWeight) -> str:
    return f"weight {one.value:+.2f}, {one.low:+.2f} to {one.high:+.2f}"


def find_contrasts(
    learnt: GateExamples, held: GateExamples, l2: float
) -> tuple[int, list[Contrast]]:
    """Return the number of weights tested, and the weights of each attribute that has both signs in
    the subsets, or in the segments learnt from the other pairs."""
    families = list(_families(learnt, held, l2))
    tests = sum(len(segments) for _, segments in families)
    contrasts: list[Contrast] = []
    for k, segments in families:
        weights = [_weight(k, name, one, tests) for name, one in segments.items()]
        if {-1, 1} <= {one.sign for one in weights}:
            signed = (one for one in weights if one.sign)
            contrasts.append(tuple(sorted(signed, key=lambda one: one.value)))
    return tests, contrasts


def _weight(k: int, segment: str, of: _Estimate, tests: int) -> SegmentWeight:
    """Make one weight; its interval holds for all tests together (Bonferroni)."""
    value = float(of.weights[k])
    half = float(of.errors[k] * stdtrit(of.freedom, 1 - ERROR / 2 / tests))
    return SegmentWeight(k, segment, value, value - half, value + half, of.pairs)


def _families(
    learnt: GateExamples, held: GateExamples, l2: float
) -> Iterator[tuple[int, Segments]]:
    """List each attribute with the segments whose weights are compared: two at least."""
    alive = np.flatnonzero(held.lead.any(axis=0))
    subsets = _estimates(held, held.rows_by_subset(), l2)
    if len(subsets) > 1:
        for k in alive:
            yield int(k), subsets
    weights = learn_prompt_weights(learnt, held.prompts)
    if weights is not None:
        for k in alive:
            above = weights[:, k] > 0
            sides = {ABOVE: np.flatnonzero(above), BELOW: np.flatnonzero(~above)}
            halves = _estimates(held, sides, l2)
            if len(halves) > 1:
                yield int(k), halves


def _estimates(held: GateExamples, segments: Mapping[str, Array], l2: float) -> Segments:
    """Estimate the weights of the segments that have enough groups."""
    least = GROUPS * held.lead.shape[1]
    return {
        name: _estimate(held.at(rows), l2)
        for name, rows in segments.items()
        if len(np.unique(held.groups[rows])) >= least and held.weights[rows].sum() > 0
    }


def _estimate(held: GateExamples, l2: float) -> _Estimate:
    """Estimate constant weights, with standard errors that are valid for any dependence within
    groups (the sandwich estimator over groups, with its small-sample correction: Liang and Zeger
    1986, Biometrika 73)."""
    sizes = np.sqrt((held.lead**2).mean(axis=0))
    sizes = np.where(sizes > 0, sizes, 1.0)
    rows, share = held.lead / sizes, held.weights / held.weights.sum()
    weights = fit_weights(rows, held.margins, held.weights, l2)
    doubt = 1 / (1 + np.exp(np.clip(rows @ weights - held.margins, -700, 700)))
    names, group = np.unique(held.groups, return_inverse=True)
    slopes = np.zeros((len(names), len(weights)))
    np.add.at(slopes, group, rows * (share * doubt)[:, None])
    curve = (rows.T * (share * doubt * (1 - doubt))) @ rows + l2 * np.eye(len(weights))
    inverse = np.linalg.inv(curve)
    freedom = len(names) - len(weights)
    spread = inverse @ (slopes.T @ slopes) @ inverse * len(names) / freedom
    return _Estimate(weights / sizes, np.sqrt(np.diag(spread)) / sizes, freedom, len(held))


def learn_prompt_weights(learnt: GateExamples, prompts: Array) -> Array | None:
    """Learn weights (n, K) that depend on the first principal components of the states of
    ``prompts`` (n, d), from other pairs; None where these have one state only."""
    some = learnt.at(_evenly(len(learnt), MOST_ROWS))
    components = _Components.of(some.prompts[_evenly(len(some), SAMPLE)])
    if components is None:
        return None
    known_components, new_components = components(some.prompts), components(prompts)
    products = (some.lead[:, :, None] * known_components[:, None, :]).reshape(len(some), -1)
    weights = fit_weights(products, some.margins, some.weights, PENALTY)
    return np.asarray(new_components @ weights.reshape(some.lead.shape[1], -1).T)


def _evenly(rows: int, most: int) -> Array:
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))


@dataclass(frozen=True)
class _Components:
    """Principal components of states, of standard deviation 1, after a column of ones."""

    mean: Array
    directions: Array

    @classmethod
    def of(cls, states: Array) -> _Components | None:
        mean = states.mean(axis=0, dtype=np.float64)
        centred = states - mean
        # of few rows with many numbers: from the products of rows, not those of columns
        values, vectors = np.linalg.eigh(centred @ centred.T)
        largest = np.argsort(values)[::-1][:COMPONENTS]
        largest = largest[values[largest] > 1e-9 * max(float(values.max()), 1e-12)]
        if not len(largest):
            return None
        scale = values[largest] / np.sqrt(len(states))
        return cls(mean, centred.T @ vectors[:, largest] / scale)

    def __call__(self, states: Array) -> Array:
        return np.column_stack([np.ones(len(states)), (states - self.mean) @ self.directions])
