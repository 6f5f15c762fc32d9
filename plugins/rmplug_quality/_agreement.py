"""Measures of agreement, as functions of sums over items."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Sums: TypeAlias = Mapping[str, Floats]
MOST_ORDERED = 30
"""Labels up to which disagreements are told apart by the two labels: their number is squared."""


def agreement_columns(counts: Floats) -> dict[str, Floats]:
    """Return the columns whose sums give Fleiss' kappa, raw agreement and alpha, from the counts of
    each label (items, labels). An item with fewer than two labels adds nothing."""
    number = counts.sum(axis=1)
    used = number >= 2
    counts, number = np.where(used[:, None], counts, 0), np.where(used, number, 0)
    pairs = np.maximum(number * (number - 1), 1)
    same = (counts * (counts - 1)).sum(axis=1) / pairs
    columns = {"used": used * 1.0, "labels": number, "same": same}
    columns["unanimous"] = used & (counts.max(axis=1, initial=0) == number)
    for label in range(counts.shape[1]):
        columns[f"label {label}"] = counts[:, label]
    if counts.shape[1] <= MOST_ORDERED:
        for one, two in combinations_with_replacement(range(counts.shape[1]), 2):
            both = counts[:, one] * (counts[:, two] - (one == two))
            columns[f"both {one} {two}"] = both / np.maximum(number - 1, 1)
    return {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}


def moment_columns(counts: Floats, values: Floats) -> dict[str, Floats]:
    """Return the columns whose sums give alpha for numbers, whatever the number of labels."""
    number = counts.sum(axis=1)
    number = np.where(number >= 2, number, 0)
    counts = np.where(number[:, None] > 0, counts, 0)
    centred = values - (counts.sum(axis=0) @ values / max(counts.sum(), 1))
    first, second = counts @ centred, counts @ centred**2
    within = (second - first**2 / np.maximum(number, 1)) * number / np.maximum(number - 1, 1)
    return {"labels": number, "first": first, "second": second, "within": within}


def fleiss_kappa(sums: Sums, labels: int) -> Floats:
    counts = np.stack([sums[f"label {label}"] for label in range(labels)])
    shares = _ratio(counts, sums["labels"])
    by_chance = (shares**2).sum(axis=0)
    observed = _ratio(sums["same"], sums["used"])
    return _over(observed - by_chance, 1 - by_chance)


def alpha_of_labels(sums: Sums, labels: int, ordinal: bool) -> Floats:
    """Compute Krippendorff's alpha for labels without order, or with (the distance of two labels
    is the number of labels between their middles, squared)."""
    marginals = np.stack([sums[f"label {label}"] for label in range(labels)])
    n = sums["labels"]
    middles = np.cumsum(marginals, axis=0) - marginals / 2
    observed, expected = np.zeros_like(n), np.zeros_like(n)
    for one in range(labels):
        for two in range(one + 1, labels):
            distance = (middles[one] - middles[two]) ** 2 if ordinal else 1.0
            observed = observed + distance * sums[f"both {one} {two}"]
            expected = expected + distance * marginals[one] * marginals[two]
    return _one_less(observed * (n - 1), expected)


def alpha_of_numbers(sums: Sums) -> Floats:
    """Compute Krippendorff's alpha for numbers: squared differences."""
    n = sums["labels"]
    return _one_less(sums["within"] * (n - 1), n * sums["second"] - sums["first"] ** 2)


def cohen_columns(one: npt.NDArray[np.int64], two: npt.NDArray[np.int64]) -> dict[str, Floats]:
    """Return the columns whose sums give Cohen's kappa of two annotators (items,), each label from
    0; an item that one of them has not labelled adds nothing."""
    both = (one >= 0) & (two >= 0)
    columns = {"both": both, "same": both & (one == two)}
    for label in np.unique(np.concatenate([one[both], two[both]])):
        columns[f"one {label}"] = both & (one == label)
        columns[f"two {label}"] = both & (two == label)
    return {name: column.astype(np.float64) for name, column in columns.items()}


def cohen_kappa(sums: Sums) -> Floats:
    n = sums["both"]
    labels = [name.removeprefix("one ") for name in sums if name.startswith("one ")]
    by_chance = sum((sums[f"one {c}"] * sums[f"two {c}"] for c in labels), np.zeros_like(n))
    by_chance = _ratio(by_chance, n * n)
    return _over(_ratio(sums["same"], n) - by_chance, 1 - by_chance)


def _ratio(over: Floats, under: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.true_divide(over, under))


def _over(gain: Floats, room: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(room > 1e-12, gain / room, np.nan))


def _one_less(observed: Floats, expected: Floats) -> Floats:
    """Return 1 less the ratio of both disagreements (pairs of labels are counted once in both
    where labels are told apart), NaN where there is only one label."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(expected > 1e-12, 1 - observed / expected, np.nan))
