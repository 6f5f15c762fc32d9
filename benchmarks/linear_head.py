"""A Bradley-Terry head with its strength chosen by cross-validation, in several ways.

Pairs of which one in ten shares its prompt with another, five folds, eleven strengths: rmplug's
``linear-head`` (all folds and three strengths at once, from the strongest down, until two are no
better) beside

- SciPy's L-BFGS on the same path, all folds at once: what a careful user writes in 40 lines;
- scikit-learn's ``LogisticRegressionCV`` on the same folds, grid and objective (``--sklearn``).

``even`` states have independent dimensions; the spectrum of ``uneven`` ones falls by a factor of
30, with a few large directions, as that of a language model does. Objectives are those of the head
of all pairs; the last columns compare them, and held-out predictions of L-BFGS, which ends each
strength earlier, with ours (in standard deviations of ours, and as pairs decided otherwise).

Measured on a busy machine, CPU seconds of linear-head and how many times more L-BFGS takes, even
and uneven, the middle of three runs: 500 pairs of 384 dimensions .02 (1.1) and .03 (1.4), of 4,096
.04 (1.8) and .22 (1.4); 3,000 pairs of 384 .10 (1.5) and .17 (3.3), of 1,536 .30 (1.9) and .62
(1.9), of 4,096 .80 (2.1) and 1.37 (1.6); one run: 20,000 pairs of 384 .72 (1.6) and 1.05 (6.2), of
1,536 2.54 (1.8) and 5.46 (1.5). The objectives are equal to 5e-15; L-BFGS's held-out predictions
are .001 to .02 deviations from ours, and decide 0 to 37 pairs otherwise.

Run: ``python benchmarks/linear_head.py [--pairs 3000] [--dimensions 384 1536] [--sklearn]``
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegressionCV

from rmplug.stats.folds import deal_folds
from rmplug_hf.heads._examples import StateExamples
from rmplug_hf.heads._linear_head import PATIENCE, scales_of, search_strength
from rmplug_hf.heads._newton import Loss, Rows
from rmplug_hf.heads.heads import GRID

FOLDS = 5
SOLVERS = ("lbfgs", "newton-cholesky")


@dataclass(frozen=True)
class Found:
    """The weights of the head (d,), its strength, and held-out predictions at it (pairs,)."""

    weights: np.ndarray
    l2: float
    held_out: np.ndarray | None = None


def differences(pairs: int, dimensions: int, uneven: bool) -> tuple[np.ndarray, np.ndarray]:
    """Differences of states of very different sizes, some of which tell what is preferred, and
    their prompts."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(pairs, dimensions))
    if uneven:
        spread = np.geomspace(1, 1 / 30, dimensions)
        spread[:8] *= 10
        mix = np.linalg.qr(rng.normal(size=(64, 64)))[0]
        rows = (rows * rng.permutation(spread)).reshape(pairs, -1, 64) @ mix
        rows = rows.reshape(pairs, dimensions)
    rows *= rng.gamma(1, size=dimensions)
    truth = rng.normal(size=dimensions) * (rng.random(dimensions) < 0.1)
    lead = rows @ truth / np.std(rows @ truth) + rng.logistic(size=pairs)
    return rows * np.where(lead > 0, 1, -1)[:, None], rng.integers(0, pairs * 9 // 10, pairs)


def by_newton(rows: np.ndarray, groups: np.ndarray) -> Found:
    """rmplug: Newton steps that serve all folds and some strengths."""
    ones, zeros = np.ones(len(rows)), np.zeros(len(rows))
    no_centre = np.zeros(rows.shape[1])
    examples = StateExamples(
        rows, zeros, ones, groups, Loss("logistic"), no_centre, 0.0, pa.table({})
    )
    scales = scales_of(rows, True)
    search, weights = search_strength(
        Rows(rows / scales), examples, GRID, deal_folds(groups, FOLDS, 0)
    )
    held_out = search.predictions[search.best()]
    return Found(weights / scales, search.strength, held_out)


def by_lbfgs(rows: np.ndarray, groups: np.ndarray) -> Found:
    """SciPy's L-BFGS: all folds at once, from the weights at the strength before, with its usual
    tolerances; the head of all pairs to the end."""
    scales = scales_of(rows, True)
    x, fold = rows / scales, deal_folds(groups, FOLDS, 0)
    kept = np.column_stack([*(fold != k for k in range(FOLDS)), np.ones(len(x), bool)])
    shares = kept / kept.sum(axis=0)
    weights, path, losses = np.zeros((x.shape[1], FOLDS + 1)), [], []
    for l2 in GRID:
        weights = minimum(x, shares, l2, weights, {})
        held_out = (x @ weights)[np.arange(len(x)), fold]
        path.append((weights[:, -1:], held_out))
        losses.append(np.logaddexp(0, -held_out).mean())
        if len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE:
            break
    best = int(np.argmin(losses))
    exact = {"ftol": 1e-15, "gtol": 1e-10}
    final = minimum(x, shares[:, -1:], GRID[best], path[best][0], exact)
    return Found(final[:, 0] / scales, GRID[best], path[best][1])


def minimum(
    x: np.ndarray, shares: np.ndarray, l2: float, start: np.ndarray, options: dict[str, float]
) -> np.ndarray:
    """Return the weights (d, m) of several weightings, by one call of L-BFGS."""

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(start.shape)
        lead = x @ weights
        slope = shares * 0.5 * (np.tanh(lead / 2) - 1)
        loss = (shares * np.logaddexp(0, -lead)).sum() + l2 / 2 * (weights**2).sum()
        return float(loss), (x.T @ slope + l2 * weights).ravel()

    found = minimize(
        objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 1000, **options}
    )
    return found.x.reshape(start.shape)


def by_sklearn(solver: str) -> Callable[[np.ndarray, np.ndarray], Found]:
    """scikit-learn: half the pairs turned round, so that there are two classes."""

    def fit(rows: np.ndarray, groups: np.ndarray) -> Found:
        sign = np.where(np.arange(len(rows)) % 2, 1, -1)
        scales = scales_of(rows, True)
        fold = deal_folds(groups, FOLDS, 0)
        train = len(rows) * (FOLDS - 1) / FOLDS
        options: dict[str, Any] = {"solver": solver, "tol": 1e-6, "max_iter": 1000}
        model = LogisticRegressionCV(
            Cs=[1 / (l2 * train) for l2 in GRID],
            cv=list(_splits(fold)),
            fit_intercept=False,
            scoring="neg_log_loss",
            **options,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(rows / scales * sign[:, None], sign)
        return Found(model.coef_[0] / scales, 1 / (np.ravel(model.C_)[0] * train))

    return fit


def _splits(fold: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for k in range(FOLDS):
        yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def timed(function: Callable[[], Found], times: int) -> tuple[float, float, Found]:
    """Return the least seconds of the processor and of the clock, and what was found."""
    best = []
    for _ in range(times):
        start, wall = time.process_time(), time.perf_counter()
        found = function()
        best.append((time.process_time() - start, time.perf_counter() - wall))
    return min(best)[0], min(second for _, second in best), found


def compare(pairs: int, dimensions: int, uneven: bool, sklearn: bool, times: int) -> None:
    rows, groups = differences(pairs, dimensions, uneven)
    scales = scales_of(rows, True)

    def objective(found: Found) -> float:
        loss = np.logaddexp(0, -rows @ found.weights).mean()
        return float(loss + found.l2 / 2 * ((found.weights * scales) ** 2).sum())

    print(f"{pairs} pairs, {dimensions} dimensions, {'uneven' if uneven else 'even'}")
    ours, wall, mine = timed(lambda: by_newton(rows, groups), times)
    print(f"  {'linear-head':30} {ours:7.2f} s ({wall:.2f} s wall), l2 {mine.l2:g}")
    others = {"L-BFGS, all folds": by_lbfgs}
    if sklearn:
        others |= {f"LogisticRegressionCV, {s}": by_sklearn(s) for s in SOLVERS}
    for name, fit in others.items():
        seconds, wall, found = timed(lambda fit=fit: fit(rows, groups), times)
        above = objective(found) / objective(mine) - 1
        told = f"l2 {found.l2:g}, objective {above:+.0e}"
        if found.held_out is not None and found.l2 == mine.l2:
            apart = np.abs(found.held_out - mine.held_out).max() / mine.held_out.std()
            flips = np.count_nonzero((found.held_out > 0) != (mine.held_out > 0))
            told += f", held out {apart:.0e} apart, {flips} decided otherwise"
        print(f"  {name:30} {seconds:7.2f} s ({wall:.2f} s wall) {seconds / ours:5.1f} x  {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description="linear-head beside other solvers")
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[384, 1536])
    parser.add_argument("--times", type=int, default=2, help="the best of so many runs")
    parser.add_argument("--sklearn", action="store_true")
    given = parser.parse_args()
    for dimensions in given.dimensions:
        for uneven in (False, True):
            compare(given.pairs, dimensions, uneven, given.sklearn, given.times)


if __name__ == "__main__":
    main()
