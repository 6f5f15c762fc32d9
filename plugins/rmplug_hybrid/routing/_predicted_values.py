"""The value of a route, predicted by models that did not choose it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmplug_hybrid.performance._ensemble import FormEnsemble

from ._pool import Pool
from ._strategies import Chooser, Sets

ITERATED = {"greedy", "diverse", "simulated"}
FEW_HALVES = 10
"""Strategies that choose again and again do so on this many halves at most."""


@dataclass(frozen=True)
class RouteValue:
    """The predicted result of a set: by other models than those that chose, with the middle 95 %
    over halves of the candidates, and by the one that chose it."""

    value: float
    low: float
    high: float
    naive: float


def value_fixed_set(ensemble: FormEnsemble, pool: Pool, chosen: np.ndarray) -> RouteValue:
    """Value a set that no model has chosen."""
    bought = _count_labels(pool, [chosen])
    predictions = np.array([form.values(*bought)[0] for form in ensemble.halves])
    return _summarise(predictions, float(ensemble.whole.values(*bought)[0]))


def value_chosen_sets(chooser: Chooser, strategy: str, sets: Sets) -> list[RouteValue]:
    """Value sets that half of the candidates choose by the same rule, by the other half."""
    halves = chooser.ensemble.halves[: FEW_HALVES if strategy in ITERATED else None]
    predictions = np.array(
        [
            halves[half ^ 1].values(*_count_labels(chooser.pool, chooser.choose(strategy, form)))
            for half, form in enumerate(halves)
        ]
    )
    naive = chooser.ensemble.whole.values(*_count_labels(chooser.pool, sets))
    return [
        _summarise(column, float(own)) for column, own in zip(predictions.T, naive, strict=True)
    ]


def _count_labels(pool: Pool, sets: Sets) -> tuple[np.ndarray, np.ndarray]:
    """Count what the labels of each set add to a training set: counts and sizes."""
    bought = [pool.labels(chosen) for chosen in sets]
    return np.array([counts for counts, _ in bought]), np.array([size for _, size in bought])


def _summarise(predictions: np.ndarray, naive: float) -> RouteValue:
    low, high = np.quantile(predictions, (0.025, 0.975))
    return RouteValue(float(predictions.mean()), float(low), float(high), naive)
