"""A Bradley-Terry head with its strength chosen by cross-validation, in two ways.

3,000 pairs of 384 dimensions with 2,700 prompts, five folds, eleven strengths: rmplug's
``linear-head`` (all folds at once, from the strongest down, until two are no better) beside
scikit-learn's ``LogisticRegressionCV`` on the same folds, grid and objective.

Run: ``python benchmarks/linear_head.py [dimensions]``
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.linear_model import LogisticRegressionCV

from rmplug.stats.folds import deal_folds
from rmplug_hf.heads._examples import StateExamples
from rmplug_hf.heads._linear_head import scales_of, search_strength
from rmplug_hf.heads._newton import Loss, principal_axes
from rmplug_hf.heads.heads import GRID

PAIRS, PROMPTS, FOLDS = 3_000, 2_700, 5

Found = tuple[np.ndarray, float]


def differences(dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences of states of very different sizes, some of which tell what is preferred."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(PAIRS, dimensions)) * rng.gamma(1, size=dimensions)
    truth = rng.normal(size=dimensions) * (rng.random(dimensions) < 0.1)
    lead = rows @ truth / np.std(rows @ truth) + rng.logistic(size=PAIRS)
    return rows * np.where(lead > 0, 1, -1)[:, None], rng.integers(0, PROMPTS, PAIRS)


def by_newton(rows: np.ndarray, groups: np.ndarray) -> Found:
    """rmplug: principal axes, then Newton steps that serve all folds."""
    ones, zeros = np.ones(len(rows)), np.zeros(len(rows))
    no_centre = np.zeros(rows.shape[1])
    examples = StateExamples(
        rows, zeros, ones, groups, Loss("logistic"), no_centre, 0.0, pa.table({})
    )
    scales = scales_of(rows, True)
    axes = principal_axes(rows / scales)
    search, weights = search_strength(axes, examples, GRID, deal_folds(groups, FOLDS, 0))
    return axes.basis @ weights / scales, search.strength


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
        return model.coef_[0] / scales, 1 / (np.ravel(model.C_)[0] * train)

    return fit


def _splits(fold: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for k in range(FOLDS):
        yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def timed(function: Callable[[], Found], times: int) -> tuple[float, Found]:
    best, found = np.inf, (np.zeros(0), 0.0)
    for _ in range(times):
        start = time.process_time()
        found = function()
        best = min(best, time.process_time() - start)
    return best, found


def main() -> None:
    rows, groups = differences(int(sys.argv[1]) if len(sys.argv) > 1 else 384)
    ours, (weights, l2) = timed(lambda: by_newton(rows, groups), 3)
    print(f"{'rmplug linear-head':36} {ours:7.2f} s of one core,          l2 {l2:g}")
    for solver in ("lbfgs", "newton-cholesky"):
        fit = by_sklearn(solver)
        seconds, (other, its_l2) = timed(lambda fit=fit: fit(rows, groups), 1)
        apart = 1 - weights @ other / np.linalg.norm(weights) / np.linalg.norm(other)
        print(
            f"{f'LogisticRegressionCV, {solver}':36} {seconds:7.2f} s {seconds / ours:6.1f} x  "
            f"l2 {its_l2:g}, 1 - cosine of the weights {apart:.1e}"
        )


if __name__ == "__main__":
    main()
