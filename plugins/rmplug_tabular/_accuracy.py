"""How well predictions agree with a target, for rows that count any number of times."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ._grouped_intervals import Statistic


def of_numbers(target: np.ndarray, predicted: np.ndarray, mean: np.ndarray) -> dict[str, Statistic]:
    """R², Spearman's rank correlation, mean absolute error, and that of predicting the mean."""
    return {
        "r2": partial(r2, target, predicted),
        "spearman": spearman(target, predicted),
        "mae": partial(weighted_mean, np.abs(target - predicted)),
        "mae-of-mean": partial(weighted_mean, np.abs(target - mean)),
    }


def of_binary(
    target: np.ndarray, scores: np.ndarray, rate: np.ndarray, probabilities: bool
) -> dict[str, Statistic]:
    """AUC, accuracy, log-loss (of probabilities), and the floors of majority and base rate."""
    cut = 0.5 if probabilities else 0.0
    right = np.where(scores == cut, 0.5, (scores > cut) == target)
    majority = np.where(rate == 0.5, 0.5, (rate > 0.5) == target)
    found: dict[str, Statistic] = {
        "auc": auc(target, scores),
        "accuracy": partial(weighted_mean, right),
        "accuracy-of-majority": partial(weighted_mean, majority.astype(float)),
    }
    if probabilities:
        found["log-loss"] = partial(weighted_mean, binary_surprise(target, scores))
        found["log-loss-of-base-rate"] = partial(weighted_mean, binary_surprise(target, rate))
    return found


def of_classes(
    target: np.ndarray, scores: np.ndarray, rates: np.ndarray, probabilities: bool
) -> dict[str, Statistic]:
    """Accuracy and log-loss over more than two classes, beside majority and base rates."""
    rows = np.arange(len(target))
    found: dict[str, Statistic] = {
        "accuracy": partial(weighted_mean, (scores.argmax(axis=1) == target).astype(float)),
        "accuracy-of-majority": partial(
            weighted_mean, (rates.argmax(axis=1) == target).astype(float)
        ),
    }
    if probabilities:
        found["log-loss"] = partial(weighted_mean, surprise(scores[rows, target]))
        found["log-loss-of-base-rate"] = partial(weighted_mean, surprise(rates[rows, target]))
    return found


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(values @ weights / weights.sum())


def r2(target: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> float:
    """Share of the variance explained: 1 is perfect, 0 no better than the mean, negative worse."""
    centred = target - target @ weights / weights.sum()
    spread = weights @ centred**2
    return float(1 - weights @ (target - predicted) ** 2 / spread) if spread else float("nan")


def spearman(left: np.ndarray, right: np.ndarray) -> Statistic:
    """Rank correlation with ties at their middle rank; ranks are those of the weighted sample."""
    rank_left, rank_right = _ranks(left), _ranks(right)

    def correlate(weights: np.ndarray) -> float:
        a, b = rank_left(weights), rank_right(weights)
        total = weights.sum()
        a, b = a - a @ weights / total, b - b @ weights / total
        spread = np.sqrt((weights @ a**2) * (weights @ b**2))
        return float(weights @ (a * b) / spread) if spread else float("nan")

    return correlate


def auc(target: np.ndarray, scores: np.ndarray) -> Statistic:
    """Chance that a row of the higher class scores above one of the lower, ties one half."""
    rank, higher = _ranks(scores), target.astype(bool)

    def area(weights: np.ndarray) -> float:
        high = weights[higher].sum()
        low = weights.sum() - high
        if not high or not low:
            return float("nan")
        above = weights[higher] @ rank(weights)[higher] - high * (high + 1) / 2
        return float(above / (high * low))

    return area


def binary_surprise(target: np.ndarray, probability: np.ndarray) -> np.ndarray:
    return surprise(np.where(target == 1, probability, 1 - probability))


def surprise(probability: np.ndarray) -> np.ndarray:
    """-log p in nats, p kept above 1e-15."""
    values: np.ndarray = -np.log(np.maximum(probability, 1e-15))
    return values


def _ranks(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    _, place = np.unique(values, return_inverse=True)

    def rank(weights: np.ndarray) -> np.ndarray:
        counts = np.bincount(place, weights=weights)
        return (np.cumsum(counts) - (counts - 1) / 2)[place]

    return rank
