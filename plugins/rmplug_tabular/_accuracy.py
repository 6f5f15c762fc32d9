"""The agreement of held-out predictions with a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rmplug.stats.estimates import (
    Estimate,
    area_under_curve,
    explained_variance,
    mean,
    spearman,
)


def of_numbers(
    target: np.ndarray, predicted: np.ndarray, standing: np.ndarray, blind: np.ndarray
) -> dict[str, Estimate]:
    """Return R², Spearman's rank correlation, mean absolute error, and that of predicting the mean.

    ``standing`` is what ranks go by (see ``HeldOut``), ``blind`` the mean of the other folds.
    """
    return {
        "r2": explained_variance(target, predicted),
        "spearman": spearman(target, standing),
        "mae": mean(np.abs(target - predicted), "positive"),
        "mae-of-mean": mean(np.abs(target - blind), "positive"),
    }


def of_binary(
    target: np.ndarray,
    scores: np.ndarray,
    standing: np.ndarray,
    rate: np.ndarray,
    probabilities: bool,
) -> dict[str, Estimate]:
    """Return AUC, accuracy, log-loss (of probabilities), and majority and base-rate baselines."""
    cut = 0.5 if probabilities else 0.0
    right = np.where(scores == cut, 0.5, (scores > cut) == target)
    majority = np.where(rate == 0.5, 0.5, (rate > 0.5) == target)
    estimates = {
        "auc": area_under_curve(target, standing),
        "accuracy": mean(right, "share"),
        "accuracy-of-majority": mean(majority.astype(float), "share"),
    }
    if probabilities:
        estimates["log-loss"] = mean(binary_surprise(target, scores), "positive")
        estimates["log-loss-of-base-rate"] = mean(binary_surprise(target, rate), "positive")
    return estimates


def of_classes(
    target: np.ndarray, scores: np.ndarray, rates: np.ndarray, probabilities: bool
) -> dict[str, Estimate]:
    """Return accuracy and log-loss of several classes, and majority and base-rate baselines."""
    rows, right, majority = np.arange(len(target)), _right(target, scores), _right(target, rates)
    estimates = {
        "accuracy": mean(right, "share"),
        "accuracy-of-majority": mean(majority, "share"),
        "accuracy-over-majority": mean(right - majority),
    }
    if probabilities:
        estimates["log-loss"] = mean(surprise(scores[rows, target]), "positive")
        estimates["log-loss-of-base-rate"] = mean(surprise(rates[rows, target]), "positive")
    return estimates


def is_better_than_chance(numbers: Sequence[Mapping[str, Any]]) -> bool:
    """Check whether the held-out fit is better than a fit without features beyond doubt: R² or rank
    correlation above 0, AUC above one half, or for more classes a higher accuracy."""
    low = {number["metric"]: number["low"] for number in numbers if number["low"] is not None}
    floors = {"r2": 0.0, "spearman": 0.0, "auc": 0.5, "accuracy-over-majority": 0.0}
    return any(low[metric] > floor for metric, floor in floors.items() if metric in low)


def binary_surprise(target: np.ndarray, probability: np.ndarray) -> np.ndarray:
    return surprise(np.where(target == 1, probability, 1 - probability))


def surprise(probability: np.ndarray) -> np.ndarray:
    """Return -log p in nats, p kept above 1e-15."""
    values: np.ndarray = -np.log(np.maximum(probability, 1e-15))
    return values


def _right(target: np.ndarray, scores: np.ndarray) -> np.ndarray:
    right: np.ndarray = scores.argmax(axis=1) == target
    return right.astype(float)
