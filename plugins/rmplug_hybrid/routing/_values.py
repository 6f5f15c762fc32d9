"""What a route is worth by models that did not choose it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmplug_hybrid.performance._files import Ensemble

from ._choices import Chooser, Sets
from ._gain import Pool

ITERATED = {"greedy", "diverse", "simulated"}
FEW_HALVES = 10
"""Strategies that choose again and again do so on this many halves at most."""


@dataclass(frozen=True)
class Value:
    """The predicted result of a set: by other models than those that chose, with the middle 95 %
    over halves of the candidates, and by the one that chose it."""

    value: float
    low: float
    high: float
    naive: float


def values_of_fixed(ensemble: Ensemble, pool: Pool, chosen: np.ndarray) -> Value:
    """Of a set that no model has chosen."""
    bought = _counted(pool, [chosen])
    found = np.array([form.values(*bought)[0] for form in ensemble.halves])
    return _summary(found, float(ensemble.whole.values(*bought)[0]))


def values_of_chosen(chooser: Chooser, strategy: str, sets: Sets) -> list[Value]:
    """Half of the candidates choose a set by the same rule, and the other half value it."""
    halves = chooser.ensemble.halves[: FEW_HALVES if strategy in ITERATED else None]
    found = np.array(
        [
            halves[place ^ 1].values(*_counted(chooser.pool, chooser.choose(strategy, form)))
            for place, form in enumerate(halves)
        ]
    )
    naive = chooser.ensemble.whole.values(*_counted(chooser.pool, sets))
    return [_summary(column, float(own)) for column, own in zip(found.T, naive, strict=True)]


def _counted(pool: Pool, sets: Sets) -> tuple[np.ndarray, np.ndarray]:
    """What the labels of each set add to a training set, as in candidates: counts and sizes."""
    bought = [pool.labels(chosen) for chosen in sets]
    return np.array([counts for counts, _ in bought]), np.array([size for _, size in bought])


def _summary(found: np.ndarray, naive: float) -> Value:
    low, high = np.quantile(found, (0.025, 0.975))
    return Value(float(found.mean()), float(low), float(high), naive)
