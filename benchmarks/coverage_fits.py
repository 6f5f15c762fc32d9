"""How often the 95 % intervals of held-out R² and rank correlation of a fit hold the truth.

A target is two features of six and noise, in part alike for the rows of a prompt. The truth is what
the models of the folds explain of 5,000 other prompts, the mean over all simulations. The intervals
of ``sklearn`` stand beside those of before: plain percentiles of a bootstrap over prompts of
predictions that are pooled as they are.

Measured (Ridge, 200 to 400 simulations; R² and Spearman held before and now): 20 prompts of one row
84 and 89 % to 96 and 97 %, 20 of 1-4 rows 87 and 89 % to 98 and 97 %, 50 of one row 90 and 88 % to
95 and 91 %; 100 of one row 95 and 93 % now. Spearman of 20 rows .055 too low before, .017 now.

Spearman again later, on its own (Ridge, 400 simulations at 50 prompts of one row, else 250; the
truth from 2,000 other prompts; standard error about 1 point): 20 prompts of one row 97 %, 20 of 1-4
rows 98 %, 50 of one row 95 %, 50 of 1-4 rows 96 %, 100 of one row 96 %.

Run: ``python benchmarks/coverage_fits.py`` (about three minutes)
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse

import numpy as np
import pyarrow as pa
from scipy.stats import spearmanr
from sklearn.metrics import r2_score

from rmplug.stats.bootstrap import row_weights
from rmplug.stats.estimates import explained_variance, spearman
from rmplug.stats.intervals import Bounds, held_out_freedom
from rmplug_tabular._cross_validation import HeldOut, Settings, cross_validate
from rmplug_tabular._feature_matrix import Column, Examples
from rmplug_tabular._sklearn_models import SklearnLearner

FEATURES, OF_PROMPT, NOISE, RESAMPLES = 6, 0.3, 1.1, 300
EFFECTS = np.array([1.0, 0.5, 0, 0, 0, 0])
SETTINGS = Settings(("*",), (), "error", None, 5, 1, 0, 0)
LEARNERS = {"Ridge": {}, "RandomForestRegressor": {"n_estimators": 20, "max_depth": 4}}


def world(rng: np.random.Generator, prompts: int, most: int) -> Examples:
    """1 to ``most`` rows of each prompt."""
    groups = np.repeat(np.arange(prompts), rng.integers(1, most + 1, prompts))
    shape = (len(groups), FEATURES + 1)
    values = np.sqrt(OF_PROMPT) * rng.normal(size=(prompts, shape[1]))[groups]
    values = values + np.sqrt(1 - OF_PROMPT) * rng.normal(size=shape)
    matrix, target = values[:, 1:], values[:, 1:] @ EFFECTS + NOISE * values[:, 0]
    ids = pa.array([str(row) for row in range(len(groups))])
    columns = tuple(Column(f"x{i}", 1, False) for i in range(FEATURES))
    return Examples(columns, matrix, target, ids, ids, groups)


def now(examples: Examples, held: HeldOut) -> tuple[float, Bounds, Bounds]:
    """Spearman's correlation, and the intervals of it and of R²."""
    freedom = held_out_freedom(int(examples.groups.max()) + 1, len(held.models))
    rank = spearman(examples.target, held.standing)
    explained = explained_variance(examples.target, held.scores)
    groups = examples.groups
    return rank.value, rank.interval(groups, freedom), explained.interval(groups, freedom)


def before(examples: Examples, held: HeldOut, seed: int) -> tuple[float, Bounds, Bounds]:
    drawn = []
    for weights in row_weights(examples.groups, RESAMPLES, seed):
        rows = np.repeat(np.arange(len(weights)), weights.astype(int))
        target, score = examples.target[rows], held.scores[rows]
        drawn.append((spearmanr(target, score).statistic, r2_score(target, score)))
    low, high = np.nanquantile(np.array(drawn), (0.025, 0.975), axis=0)
    value = float(spearmanr(examples.target, held.scores).statistic)
    return value, (low[0], high[0]), (low[1], high[1])


def measure(name: str, prompts: int, most: int, count: int) -> None:
    learner = SklearnLearner(name, LEARNERS[name], None)
    others = world(np.random.default_rng(0), 5_000, 1)
    truths, ours, theirs = [], [], []
    for seed in range(count):
        examples = world(np.random.default_rng([1, prompts, seed]), prompts, most)
        held = cross_validate(learner, SETTINGS, examples, seed)
        scores = [model.scores(others.matrix) for model in held.models]
        truths += [(spearmanr(others.target, s)[0], r2_score(others.target, s)) for s in scores]
        ours.append(now(examples, held))
        theirs.append(before(examples, held, seed))
    truth = np.mean(truths, axis=0)
    print(f"{name}, {prompts} prompts of 1-{most}: R² {truth[1]:.3f}, Spearman {truth[0]:.3f}")
    for label, found in (("before", theirs), ("now", ours)):
        held_rank, held_r2 = (
            np.mean([one[at][0] <= truth[at - 1] <= one[at][1] for one in found]) for at in (1, 2)
        )
        error = np.mean([one[0] for one in found]) - truth[0]
        print(
            f"  {label:7} R² held {held_r2:6.1%}   Spearman held {held_rank:6.1%}   "
            f"Spearman off by {error:+.3f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=300)
    count = parser.parse_args().simulations
    for name, prompts, most in (
        ("Ridge", 20, 1),
        ("Ridge", 20, 4),
        ("Ridge", 50, 1),
        ("Ridge", 100, 1),
        ("RandomForestRegressor", 20, 1),
    ):
        measure(name, prompts, most, count)


if __name__ == "__main__":
    main()
