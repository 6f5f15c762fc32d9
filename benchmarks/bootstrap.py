"""Intervals of a mean for 3,000 pairs in 30 subsets, 10,000 resamples, in four ways.

Of accuracy (two outcomes) and of log-loss (every pair its own outcome).

Run: ``python benchmarks/bootstrap.py``
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from collections.abc import Callable

import numpy as np
from scipy import stats

from rmplug.stats.bootstrap import intervals

PAIRS, SUBSETS, RESAMPLES = 3_000, 30, 10_000

Parts = list[tuple[np.ndarray, np.ndarray]]
Bounds = list[tuple[float, float]]


def parts(metric: str) -> Parts:
    """A number and the prompt group of each pair, for the whole and for every subset."""
    margin = np.random.default_rng(0).normal(0.5, 1, PAIRS)
    values = {"accuracy": (margin > 0).astype(np.float64), "log-loss": np.logaddexp(0, -margin)}
    right = values[metric]
    groups, subset = np.arange(PAIRS), np.arange(PAIRS) % SUBSETS
    masks = [np.ones(PAIRS, bool), *(subset == k for k in range(SUBSETS))]
    return [(right[m], np.unique(groups[m], return_inverse=True)[1]) for m in masks]


def by_counts(data: Parts) -> Bounds:
    """rmplug: resamples as counts of groups, times the sums by group."""
    share = lambda sums: {"accuracy": sums["right"] / sums["n"]}  # noqa: E731
    return [
        intervals({"n": np.ones(len(r)), "right": r}, g, share, RESAMPLES, [1, k])["accuracy"]
        for k, (r, g) in enumerate(data)
    ]


def by_loop(data: Parts) -> Bounds:
    """One resample of groups at a time, its rows gathered, its mean taken."""
    rngs = [np.random.default_rng([1, k]) for k in range(len(data))]
    return [_loop(*part, rng) for part, rng in zip(data, rngs, strict=True)]


def _loop(right: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(groups))[:-1])
    values = np.empty(RESAMPLES)
    for b in range(RESAMPLES):
        drawn = rng.integers(0, len(members), len(members))
        values[b] = right[np.concatenate([members[i] for i in drawn])].mean()
    return tuple(np.quantile(values, (0.025, 0.975)))


def by_simple_loop(data: Parts) -> Bounds:
    """As above, for the case that every prompt has one pair: a row is a group."""
    found = []
    for k, (right, _) in enumerate(data):
        rng, n = np.random.default_rng([1, k]), len(right)
        values = [right[rng.integers(0, n, n)].mean() for _ in range(RESAMPLES)]
        found.append(tuple(np.quantile(values, (0.025, 0.975))))
    return found


def by_scipy(data: Parts) -> Bounds:
    """scipy.stats.bootstrap, percentile, in batches; every prompt has one pair."""
    found = []
    for k, (right, _) in enumerate(data):
        result = stats.bootstrap(
            (right,), np.mean, n_resamples=RESAMPLES, method="percentile", batch=500, axis=0,
            rng=np.random.default_rng([1, k]), vectorized=True,
        )  # fmt: skip
        found.append((result.confidence_interval.low, result.confidence_interval.high))
    return found


def timed(function: Callable[[Parts], Bounds], data: Parts, times: int) -> tuple[float, Bounds]:
    best, bounds = np.inf, []
    for _ in range(times):
        start = time.perf_counter()
        bounds = function(data)
        best = min(best, time.perf_counter() - start)
    return best, bounds


def compare(metric: str) -> None:
    data = parts(metric)
    ours, reference = timed(by_counts, data, 3)
    print(f"\n{metric}\n  {'rmplug, groups counted':38} {ours:7.3f} s")
    ways = [
        ("numpy loop over resamples, by groups", by_loop),
        ("the same, one pair per prompt assumed", by_simple_loop),
        ("scipy.stats.bootstrap, the same assumed", by_scipy),
    ]
    for name, way in ways:
        seconds, bounds = timed(way, data, 1)
        apart = np.abs(np.array(bounds) - np.array(reference)).max()
        print(f"  {name:38} {seconds:7.3f} s {seconds / ours:6.1f} x  bounds differ by {apart:.1e}")


def main() -> None:
    compare("accuracy")
    compare("log-loss")


if __name__ == "__main__":
    main()
