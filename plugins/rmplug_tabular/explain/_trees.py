"""What boosted trees add to ridge: interactions and curves that no weighted sum has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from rmplug.arrays import Array
from rmplug.stats.estimates import Estimate
from rmplug_tabular._learners import Task
from rmplug_tabular._lightgbm_models import LightGBMLearner

from ._moments import Part
from ._shares import PartModels, PartShares, Question, Share, held_out_means, part_of

ARGS: Mapping[str, Any] = {"learning_rate": 0.05, "num_leaves": 4, "min_data_in_leaf": 20}


@dataclass(frozen=True)
class HeldOutTrees:
    """What trees predict of each row's error (rows,), held out."""

    predicted: Array
    null: list[tuple[Array, Array]]
    """The same where the errors are permuted: pairs of a prediction and of the permuted errors."""
    again: Array
    """The same of trees that learn the errors ``left`` of ridge, all of them held out."""
    thinned: Array
    """The same without one more fold each, shape (folds, rows); rows of that fold as in
    ``again``."""
    left: Array


def learner_of(rounds: int) -> LightGBMLearner:
    return LightGBMLearner("regression", rounds, None, ARGS, 1)


def held_out_trees(
    question: Question, rows: PartModels, found: PartShares, rounds: int, permutations: int
) -> HeldOutTrees:
    """Let trees learn the errors of the ridge of all rows: for each fold, of the ridge that has not
    seen it, on the rows that this ridge has seen. For permuted errors the trees learn anew, since
    those of different folds resemble each other by what they found by chance."""
    design, target = question.design, question.target
    weights, intercepts = found.paths.weights(rows.real)
    numbers = found.paths.scaling.numbers
    errors = np.empty((design.folds, len(target)))
    for k in range(design.folds):
        best = found.search.best(without=k)
        errors[k] = target - design.matrix[:, numbers] @ weights[k, :, best] - intercepts[k, best]
    left = target - found.predicted
    means, deviations = question.shuffler.permuted(left, permutations)
    permuted = list((means[question.prompts.of] + deviations).T)
    null = [(_predicted(question, rounds, [one] * design.folds), one) for one in permuted]
    again = _predicted(question, rounds, [left] * design.folds)
    thinned = _thinned(question, rounds, left, again)
    predicted = _predicted(question, rounds, list(errors))
    return HeldOutTrees(predicted, null, again, thinned, left)


def _predicted(question: Question, rounds: int, errors: list[Array]) -> Array:
    """Predict each row by trees that learnt the errors (rows,) of its fold on the other folds."""
    fold = question.design.fold
    predicted = np.empty(len(fold))
    for k in range(question.design.folds):
        rest = fold != k
        predicted[~rest] = _learnt(question, rounds, errors[k], rest, ~rest)
    return predicted


def _thinned(question: Question, rounds: int, errors: Array, again: Array) -> Array:
    """Predict each row by trees that learnt the errors (rows,) without its own fold and without one
    more: shape (folds, rows)."""
    design = question.design
    thinned = np.tile(again, (design.folds, 1))
    for one, other in combinations(range(design.folds), 2):
        left_out = [design.fold == one, design.fold == other]
        both = left_out[0] | left_out[1]
        predicted = np.empty(len(errors))
        predicted[both] = _learnt(question, rounds, errors, ~both, both)
        thinned[other][left_out[0]] = predicted[left_out[0]]
        thinned[one][left_out[1]] = predicted[left_out[1]]
    return thinned


def _learnt(question: Question, rounds: int, errors: Array, rows: Array, asked: Array) -> Array:
    """Return what trees that learnt the errors of some rows predict of others."""
    matrix = question.design.matrix
    groups = np.unique(question.prompts.of[rows], return_inverse=True)[1]
    task = Task(matrix[rows], errors[rows], groups, 0, question.seed)
    return learner_of(rounds).learn(task).scores(matrix[asked])


def boosted(
    question: Question, models: PartModels, found: PartShares, trees: HeldOutTrees
) -> list[Share]:
    """Return the shares of one part that trees have a part in. Trees learn from rows as they are,
    since an interaction of means is no mean of interactions; what they predict is split into the
    parts as the target is."""
    part, target = models.part, question.target_of(models.part)
    added = part_of(question.prompts, trees.predicted, part)
    both = found.predicted + added
    level = held_out_means(target, question.design.fold, question.design.folds)
    spread = float(((target - level) ** 2).sum())
    null = np.array([_gain(question, part, *one) / spread for one in trees.null])
    learnt = _effects_of_learning(question, part, trees) / spread
    together, alone = models.estimate(both), models.estimate(both, found.predicted)
    together, alone = (_with_learning(question, one, learnt) for one in (together, alone))
    return [
        Share("with trees", "", together, np.empty(0)),
        Share.tested("interaction", "", alone, null),
    ]


def _effects_of_learning(question: Question, part: Part, trees: HeldOutTrees) -> Array:
    """Return by how much the sum of what trees gain on held-out rows depends on each fold of the
    rows they learnt from, shape (folds,), less its mean: the gain falls by so much without it."""
    gains = np.array([_gain(question, part, one, trees.left) for one in trees.thinned])
    return np.asarray(gains.mean() - gains)


def _with_learning(question: Question, estimate: Estimate, learnt: Array) -> Estimate:
    """Add to an estimate the variance that comes from the rows the trees learnt from, which
    held-out rows do not show, by the jackknife over folds; and where the same folds are above
    average in both ways, that too. (Measured on ten folds, the latter can fall below 0 by chance.)
    """
    design = question.design
    held_out = np.bincount(design.fold, estimate.influence, design.folds) / len(design.fold)
    alike = max(0.0, 2 * float(held_out @ learnt))
    return replace(estimate, more=(float(learnt @ learnt) + alike) * (1 - 1 / design.folds))


def _gain(question: Question, part: Part, predicted: Array, errors: Array) -> float:
    """Return by how much a prediction of the errors lowers their sum of squares in one part."""
    added, left = (part_of(question.prompts, one, part) for one in (predicted, errors))
    return float(2 * added @ left - added @ added)
