"""Tables that explain a model: importance, coefficients, dependence, SHAP values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from rmplug.stats.bootstrap import row_weights
from rmplug.stats.estimates import area_under_curve, explained_variance, mean
from rmplug.stats.intervals import Bounds, fold_interval, percentile_interval

from ._feature_matrix import Column, Examples
from ._learners import Learner, PreparedModel, Task, deviations
from ._sklearn_models import LinearModel

MOST_ROWS_PERMUTED = 2000
GRID = 20
MOST_ROWS_DEPENDENCE = 500
MOST_NUMBERS_REFITTED = 2_000_000


def importance(
    models: Sequence[PreparedModel], fold: np.ndarray, examples: Examples, repeats: int, seed: int
) -> pa.Table:
    """Compute ``feature, importance, low, high``: the loss of held-out predictions when a feature
    is shuffled among at most 2,000 rows of the fold: the drop in R² (AUC for two classes, accuracy
    for more), averaged over folds and repeats, with a 95 % interval from the folds. A vector is
    shuffled whole. Sorted, greatest first.
    """
    rng = np.random.default_rng(seed)
    drops = np.full((len(examples.columns), len(models), repeats), np.nan)
    for number, model in enumerate(models):
        rows = rows_at_random(np.flatnonzero(fold == number), MOST_ROWS_PERMUTED, rng)
        matrix, target = model.preparation(examples.matrix[rows]), examples.target[rows]
        whole = _agreement(target, model.learned.scores(matrix), examples.classes)
        for column, (_, block) in enumerate(examples.blocks()):
            shuffled = np.tile(matrix, (repeats, 1))
            order = np.concatenate([rng.permutation(len(rows)) for _ in range(repeats)])
            shuffled[:, block] = matrix[order, block]
            for turn, scores in enumerate(np.split(model.learned.scores(shuffled), repeats)):
                after = _agreement(target, scores, examples.classes)
                drops[column, number, turn] = whole - after
    by_fold = drops.mean(axis=2)
    means = np.array([_mean(drops_of_folds) for drops_of_folds in by_fold])
    return ranked(
        examples.columns, means, [fold_interval(drops_of_folds) for drops_of_folds in by_fold]
    )


def ranked(
    columns: Sequence[Column],
    values: np.ndarray,
    limits: Sequence[Bounds],
) -> pa.Table:
    """Return ``feature, importance, low, high``, greatest importance first."""
    order = np.argsort(-values, kind="stable")
    return pa.table(
        {
            "feature": pa.array([columns[i].name for i in order], pa.string()),
            "importance": pa.array(values[order], pa.float64()),
            "low": pa.array([limits[i][0] for i in order], pa.float64()),
            "high": pa.array([limits[i][1] for i in order], pa.float64()),
        }
    )


UNIT = "standard deviation of the feature"


def coefficients(
    model: PreparedModel, learner: Learner, task: Task, examples: Examples, refits: int
) -> pa.Table | None:
    """Compute ``feature, coefficient, low, high, per`` of a linear model: the change of its sum
    (the prediction, or the log-odds of the higher class) for one standard deviation of the feature;
    with intervals from refits on bootstrap samples of groups where rows times numbers are at most
    2,000,000. For more than two classes there is a row per ``class``.
    """
    if not isinstance(model.learned, LinearModel):
        return None
    spread = deviations(task.matrix)
    values = (model.learned.weights * spread).ravel()
    draws = _refitted(learner, task, refits, model.learned.weights.shape) * spread
    draws = draws.reshape(len(draws), len(values))
    groups = len(np.unique(task.groups))
    limits = [percentile_interval(column, groups) for column in draws.T]
    parts = [part for column in examples.columns for part in column.parts()]
    outputs = len(model.learned.weights)
    table = {
        "feature": parts * outputs,
        "coefficient": values,
        "low": pa.array([low for low, _ in limits], pa.float64()),
        "high": pa.array([high for _, high in limits], pa.float64()),
    }
    table["per"] = [UNIT] * len(values)
    classes = {"class": np.repeat(examples.classes, len(parts))} if outputs > 1 else {}
    return pa.table({**classes, **table})


def dependence(
    model: PreparedModel, examples: Examples, features: Sequence[str], seed: int
) -> pa.Table:
    """Compute ``feature, x, y``: mean prediction over at most 500 rows with the feature set to
    ``x``, for up to 20 quantiles of it (Friedman's partial dependence); ``y`` is the prediction, or
    the probability (or decision value) of the highest class.
    """
    rows = rows_at_random(
        np.arange(len(examples)), MOST_ROWS_DEPENDENCE, np.random.default_rng(seed)
    )
    matrix = examples.matrix[rows]
    names: list[str] = []
    points: list[tuple[float, float]] = []
    for column, block in examples.blocks():
        if column.vector or column.name not in features:
            continue
        for value in _grid(examples.matrix[:, block.start]):
            names.append(column.name)
            points.append((value, _with_value(model, matrix, block.start, value)))
    xs, ys = np.array(points, dtype=float).reshape(-1, 2).T
    return pa.table({"feature": pa.array(names, pa.string()), "x": xs, "y": ys})


def shap_importance(examples: Examples, contributions: np.ndarray, rows: np.ndarray) -> pa.Table:
    """Compute ``feature, importance, low, high``: mean |SHAP value| of a feature over rows and
    classes, in units of the raw score, with the 95 % interval of such a mean over groups. It is
    above 0 for any feature that the model uses, whether or not that improves held-out
    predictions."""
    by_feature = np.abs(_per_feature(examples, contributions)).mean(axis=1)
    estimates = [mean(values, "positive") for values in by_feature.T]
    limits = [one.interval(examples.groups[rows]) for one in estimates]
    return ranked(examples.columns, np.array([one.value for one in estimates]), limits)


def shap_table(examples: Examples, contributions: np.ndarray, rows: np.ndarray) -> pa.Table:
    """Return ``id, base`` and a column for each feature: its contribution to the row's raw score
    (log-odds for two classes); ``base`` and the features add up to it."""
    values = _per_feature(examples, contributions)[:, 0]
    named = {column.name: values[:, i] for i, column in enumerate(examples.columns)}
    return pa.table({"id": examples.ids.take(rows), "base": contributions[:, 0, -1], **named})


def _per_feature(examples: Examples, contributions: np.ndarray) -> np.ndarray:
    """Return SHAP values (rows, outputs, features): those of a vector's numbers added up."""
    starts = [block.start for _, block in examples.blocks()]
    return np.add.reduceat(contributions[:, :, :-1], starts, axis=2)


def _refitted(learner: Learner, task: Task, refits: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return weights (refits, outputs, numbers) learned from bootstrap samples of groups."""
    weights = []
    if task.matrix.size <= MOST_NUMBERS_REFITTED:
        for counts in row_weights(task.groups, refits, task.seed):
            rows = np.repeat(np.arange(len(counts)), counts.astype(int))
            if task.number_of_classes and len(set(task.target[rows])) < task.number_of_classes:
                continue
            sample = Task(
                task.matrix[rows],
                task.target[rows],
                task.groups[rows],
                task.number_of_classes,
                task.seed,
            )
            learned = learner.learn(sample)
            if isinstance(learned, LinearModel) and learned.weights.shape == shape:
                weights.append(learned.weights)
    return np.array(weights).reshape(-1, *shape)


def _agreement(target: np.ndarray, scores: np.ndarray, classes: Sequence[float]) -> float:
    if not classes:
        return explained_variance(target, scores).value
    if len(classes) == 2:
        return area_under_curve(target, scores).value
    return float((scores.argmax(axis=1) == target).mean())


def _with_value(model: PreparedModel, matrix: np.ndarray, column: int, value: float) -> float:
    changed = matrix.copy()
    changed[:, column] = value
    scores = model.scores(changed)
    return float((scores if scores.ndim == 1 else scores[:, -1]).mean())


def _grid(values: np.ndarray) -> np.ndarray:
    present = np.unique(values[~np.isnan(values)])
    if len(present) <= GRID:
        return present
    everything = values[~np.isnan(values)]
    return np.unique(np.quantile(everything, np.linspace(0.01, 0.99, GRID)))


def rows_at_random(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Draw at most so many of the rows, in their order."""
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _mean(values: np.ndarray) -> float:
    present = values[np.isfinite(values)]
    return float(present.mean()) if len(present) else 0.0
