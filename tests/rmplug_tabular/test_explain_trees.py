"""What trees add to a sum: its interval holds what they learn by chance."""

from __future__ import annotations

import numpy as np
import pytest
from lightgbm import LGBMRegressor

from rmplug.stats.estimates import Estimate
from rmplug.stats.folds import deal_folds
from rmplug_tabular.explain._moments import Design
from rmplug_tabular.explain._shares import Question
from rmplug_tabular.explain._structure import Prompts
from rmplug_tabular.explain._trees import (
    ARGS,
    HeldOutTrees,
    _effects_of_learning,
    _predicted,
    _thinned,
    _with_learning,
)

FOLDS, ROUNDS = 4, 30


@pytest.fixture(scope="module")
def question():
    rng = np.random.default_rng(0)
    prompts = Prompts(np.repeat(np.arange(100), 3))
    matrix = rng.normal(size=(300, 2))
    target = matrix[:, 0] * matrix[:, 1] + rng.normal(size=300)
    fold = deal_folds(prompts.of, FOLDS, 0)
    design = Design(matrix, prompts.means(matrix), prompts, fold)
    return Question(design, target, (), (1.0,), 19, 0)


@pytest.fixture(scope="module")
def trees(question):
    again = _predicted(question, ROUNDS, [question.target] * FOLDS)
    thinned = _thinned(question, ROUNDS, question.target, again)
    return HeldOutTrees(again, [], again, thinned, question.target)


def test_trees_are_left_without_their_own_fold_and_one_more(question, trees):
    fold, matrix = question.design.fold, question.design.matrix
    for own, other in ((0, 2), (3, 1), (2, 0)):
        rest = (fold != own) & (fold != other)
        plain = LGBMRegressor(n_estimators=ROUNDS, random_state=0, deterministic=True, n_jobs=1,
                              force_row_wise=True, verbosity=-1, **ARGS)  # fmt: skip
        plain.fit(matrix[rest], question.target[rest])
        asked = fold == own
        np.testing.assert_allclose(trees.thinned[other][asked], plain.predict(matrix[asked]))
        assert not np.allclose(trees.thinned[other][asked], trees.again[asked])
        np.testing.assert_array_equal(trees.thinned[own][asked], trees.again[asked])


def test_the_variance_of_learning_is_that_of_the_jackknife_over_folds(question, trees):
    learnt = _effects_of_learning(question, "all", trees)
    target = question.target
    gained = [np.sum(target**2 - (target - one) ** 2) for one in trees.thinned]
    whole = np.sum(target**2 - (target - trees.again) ** 2)
    assert learnt == pytest.approx(np.mean(gained) - gained)
    assert whole > np.mean(gained) > 0
    still = Estimate(0.2, np.zeros(len(target)), "plain")
    jackknife = (FOLDS - 1) / FOLDS * np.sum((gained - np.mean(gained)) ** 2)
    assert _with_learning(question, still, learnt).more == pytest.approx(jackknife)


def test_folds_that_are_above_average_in_both_ways_widen_the_interval_more(question):
    fold = question.design.fold
    learnt = np.array([0.02, -0.01, 0.01, -0.02])
    held_out = learnt[fold] / np.bincount(fold)[fold] * len(fold)
    alike = Estimate(0.2, held_out, "plain")
    apart = Estimate(0.2, -held_out, "plain")
    alone = (learnt @ learnt) * (1 - 1 / FOLDS)
    assert _with_learning(question, alike, learnt).more == pytest.approx(3 * alone)
    assert _with_learning(question, apart, learnt).more == pytest.approx(alone)
    low, high = alike.interval(question.prompts.of)
    wider = _with_learning(question, alike, learnt).interval(question.prompts.of)
    assert wider[0] < low < high < wider[1]
