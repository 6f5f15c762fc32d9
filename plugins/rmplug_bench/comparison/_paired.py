"""Paired tests of two models: exact p-values, correction for many, and detectable differences."""

from __future__ import annotations

import numpy as np

from rmplug_bench._arrays import Floats, Ints

SCALES = (1, 2, 6, 12, 60)
"""Factors that turn differences into whole numbers: a tie of m responses counts 1/m."""
SMALLEST_P = 1e-15
"""Smallest p-value that rounding errors do not change."""
Z_LEVEL, Z_POWER = 1.959964, 0.841621
"""Normal quantiles of 97.5 % (a level of 5 %, two sides) and 80 %."""


def sign_flip_p(differences: Floats) -> float:
    """Compute the two-sided p of the sum under random signs of the differences.

    Exact for multiples of 1/60. For differences of -1, 0 and 1 it is McNemar's exact test.
    """
    scale = next((s for s in SCALES if _whole(differences * s)), SCALES[-1])
    sizes = np.abs(np.rint(differences * scale)).astype(np.int64)
    sizes, counts = np.unique(sizes[sizes > 0], return_counts=True)
    span = int((sizes * counts).sum())
    angles = 2 * np.pi * np.arange(2 * span + 1) / (2 * span + 1)
    transform = np.ones(len(angles))
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        transform *= np.cos(size * angles) ** count
    chances = np.fft.ifft(transform).real
    seen = abs(round(float(differences.sum() * scale)))
    as_far = chances[seen:span + 1].sum() * 2 if seen else 1.0  # fmt: skip
    return float(np.clip(as_far, SMALLEST_P, 1.0))


def _whole(values: Floats) -> bool:
    return bool(np.abs(values - np.rint(values)).max(initial=0) < 1e-6)


def mcnemar_p(differences: Floats) -> float:
    """Compute McNemar's exact test on the signs of decisions, as if each were a prompt."""
    return sign_flip_p(np.sign(np.where(np.abs(differences) < 1e-9, 0.0, differences)))


def by_group(differences: Floats, groups: Ints) -> Floats:
    """Sum the differences in each prompt group."""
    _, numbered = np.unique(groups, return_inverse=True)
    return np.asarray(np.bincount(numbered, differences), dtype=np.float64)


def detectable(sums: Floats, decisions: int) -> float:
    """Compute the minimum detectable difference in accuracy at 80 % power and a level of 5 %.

    For models that disagree as these do: the solution d of (Connor, 1987, Biometrics 43)
    ``d = z(0.975) sqrt(q / m) + c + z(0.8) sqrt((q - d**2) / m)``, where m counts prompt groups, q
    is the mean square of their differences, and c, the smallest of them over all decisions, allows
    for the steps of an exact test. NaN where the models never disagree."""
    m = len(sums)
    q = float(((sums * m / max(decisions, 1)) ** 2).mean()) if m else 0.0
    if q == 0:
        return float("nan")
    step = float(np.abs(sums[sums != 0]).min()) / decisions
    a, b = Z_LEVEL * np.sqrt(q / m) + step, Z_POWER**2 / m
    root = np.sqrt(max(a * a - (1 + b) * (a * a - b * q), 0.0))
    return float(min((a + root) / (1 + b), 1.0))


def ranks(scores: Floats) -> Floats:
    """Compute ranks along the last axis, 1 the best; equal scores share the mean of their ranks."""
    better = (scores[..., None, :] > scores[..., :, None]).sum(axis=-1)
    equal = (scores[..., None, :] == scores[..., :, None]).sum(axis=-1)
    return np.asarray(better + (equal + 1) / 2, dtype=np.float64)


def inseparable(order: list[int], apart: set[frozenset[int]]) -> list[list[int]]:
    """Return the longest runs, in the order of accuracy, in which no two models are apart."""
    runs: list[list[int]] = []
    reached = 0
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and not any(
            frozenset((order[end], other)) in apart for other in order[start:end]
        ):
            end += 1
        if end > reached:
            runs.append(order[start:end])
            reached = end
    return runs
