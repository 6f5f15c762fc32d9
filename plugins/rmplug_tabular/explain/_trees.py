"""What boosted trees add to ridge: interactions and curves that no weighted sum has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmplug.arrays import Array
from rmplug_tabular._learners import Task
from rmplug_tabular._lightgbm_models import LightGBMLearner

from ._moments import Part
from ._shares import PartModels, PartShares, Question, Share, held_out_means, part_of

ARGS: Mapping[str, Any] = {"learning_rate": 0.05, "num_leaves": 4, "min_data_in_leaf": 20}


@dataclass(frozen=True)
class HeldOutTrees:
    """The trees' prediction of each row's error (rows,), and the same where the errors are
    permuted: pairs of a prediction and of the permuted errors."""

    predicted: Array
    null: list[tuple[Array, Array]]


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
    return HeldOutTrees(_predicted(question, rounds, list(errors)), null)


def _predicted(question: Question, rounds: int, errors: list[Array]) -> Array:
    """Predict each row by trees that learnt the errors (rows,) of its fold on the other folds."""
    design, of = question.design, question.prompts.of
    predicted = np.empty(len(of))
    learner = learner_of(rounds)
    for k in range(design.folds):
        rest = design.fold != k
        groups = np.unique(of[rest], return_inverse=True)[1]
        task = Task(design.matrix[rest], errors[k][rest], groups, 0, question.seed)
        predicted[~rest] = learner.learn(task).scores(design.matrix[~rest])
    return predicted


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
    return [
        Share("with trees", "", models.estimate(both), np.empty(0)),
        Share.tested("interaction", "", models.estimate(both, found.predicted), null),
    ]


def _gain(question: Question, part: Part, predicted: Array, errors: Array) -> float:
    """Return by how much a prediction of the errors lowers their sum of squares in one part."""
    added, left = (part_of(question.prompts, one, part) for one in (predicted, errors))
    return float(2 * added @ left - added @ added)
