"""The fit of an estimator: held-out numbers, explanations, files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rmplug import Features, notice
from rmplug.stats.estimates import Estimate
from rmplug.stats.intervals import held_out_freedom
from rmplug.stats.metric_rows import estimated, number

from ._accuracy import is_better_than_chance, of_binary, of_classes, of_numbers
from ._collinear import without_sums
from ._cross_validation import (
    HeldOut,
    Settings,
    cross_validate,
    preparation_of,
    task_of,
)
from ._explanations import (
    coefficients,
    dependence,
    importance,
    shap_importance,
    shap_table,
)
from ._feature_matrix import Examples, as_classes, as_numbers, read_examples
from ._fit_files import write_fit
from ._learners import Learned, Learner, PreparedModel, SelfExplaining, Task


@dataclass(frozen=True)
class Fitted:
    """The numbers and tables of a fit."""

    numbers: list[dict[str, Any]]
    tables: dict[str, pa.Table]


def estimate(
    learner: Learner,
    settings: Settings,
    features: Sequence[Features],
    target: Features,
    seed: int,
    directory: Path,
) -> Fitted:
    """Fit, measure held out, explain, and write the fit of all rows to ``directory``."""
    examples = read_examples(
        features,
        target,
        include=settings.include,
        exclude=settings.exclude,
        missing=settings.missing,
    )
    if learner.classifies:
        examples = as_classes(examples, settings.threshold, learner.name)
    else:
        examples = as_numbers(examples, learner.name)
    if learner.linear:
        examples = without_sums(examples, seed)
    # One thread: sums of floats depend on how they are shared out between threads.
    with threadpool_limits(1), noticed_warnings(learner.name):
        held_out = cross_validate(learner, settings, examples, seed)
        model, task = _fit_all(learner, settings, examples, held_out, seed)
        write_fit(directory, model, examples, settings.missing)
        tables = _tables(learner, settings, examples, held_out, model, task)
    return Fitted(_numbers(held_out, examples), tables)


@contextmanager
def noticed_warnings(name: str) -> Iterator[None]:
    """Turn warnings of the libraries into notices: their text and their source."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        text = " ".join(str(warning.message).split())
        notice(f"warning: {text[:160]}", [name], of="estimators")


def _fit_all(
    learner: Learner, settings: Settings, examples: Examples, held_out: HeldOut, seed: int
) -> tuple[PreparedModel, Task]:
    preparation = preparation_of(learner, settings, examples.matrix)
    task = task_of(preparation, examples, slice(None), seed)
    learned: list[Learned] = [model.learned for model in held_out.models]
    return PreparedModel(preparation, learner.learn_all(task, learned)), task


def _numbers(held_out: HeldOut, examples: Examples) -> list[dict[str, Any]]:
    rows, folds, groups = len(examples), len(held_out.models), int(examples.groups.max()) + 1
    freedom = held_out_freedom(groups, folds)
    metrics = estimated(_estimates(held_out, examples), examples.groups, freedom)
    return [
        *metrics,
        number("better-than-chance", float(is_better_than_chance(metrics)), rows),
        number("folds", folds, rows),
        number("groups", groups, rows),
        number("features", len(examples.columns), rows),
    ]


def _estimates(held_out: HeldOut, examples: Examples) -> dict[str, Estimate]:
    target, scores, blind = examples.target, held_out.scores, held_out.blind
    if not examples.classes:
        return of_numbers(target, scores, held_out.standing, blind)
    sure = held_out.models[0].learned.probabilities
    if len(examples.classes) == 2:
        return of_binary(target, scores, held_out.standing, blind, sure)
    return of_classes(target, scores, blind, sure)


def _tables(
    learner: Learner,
    settings: Settings,
    examples: Examples,
    held_out: HeldOut,
    model: PreparedModel,
    task: Task,
) -> dict[str, pa.Table]:
    permuted = importance(held_out.models, held_out.fold, examples, settings.repeats, task.seed)
    tables = {"importance": permuted, "rows": _rows(held_out, examples)}
    if isinstance(model.learned, SelfExplaining):
        tables |= _shap(model.learned, settings, examples, task, permuted)
    weights = coefficients(model, learner, task, examples, settings.refits)
    if weights is not None:
        tables["coefficients"] = weights
    top = tables["importance"]["feature"][: settings.dependence].to_pylist()
    tables["dependence"] = dependence(model, examples, top, task.seed)
    return tables


def _shap(
    learned: SelfExplaining, settings: Settings, examples: Examples, task: Task, permuted: pa.Table
) -> dict[str, pa.Table]:
    """Compute importance by mean |SHAP|, beside gain and permutation, and the values by row."""
    size = min(settings.shap_rows, len(examples))
    rows = np.sort(np.random.default_rng(task.seed).choice(len(examples), size, replace=False))
    values = learned.contributions(task.matrix[rows])
    table = shap_importance(examples, values, rows)
    starts = [block.start for _, block in examples.blocks()]
    gains = np.add.reduceat(learned.gains(), starts)
    gain = dict(zip([column.name for column in examples.columns], gains.tolist(), strict=True))
    drop = dict(zip(*(permuted[n].to_pylist() for n in ("feature", "importance")), strict=True))
    names = table["feature"].to_pylist()
    table = table.append_column("gain", pa.array([gain[name] for name in names]))
    table = table.append_column("permutation", pa.array([drop[name] for name in names]))
    single = {"shap": shap_table(examples, values, rows)} if values.shape[1] == 1 else {}
    return {"importance": table, **single}


def _rows(held_out: HeldOut, examples: Examples) -> pa.Table:
    """Return ``id, group, target, prediction, residual``, held out."""
    target, scores = examples.target, held_out.scores
    sure = held_out.models[0].learned.probabilities
    if not examples.classes:
        shown, prediction, residual = target, scores, target - scores
    elif len(examples.classes) == 2:
        shown, prediction = np.array(examples.classes)[target], scores
        residual = target - (scores if sure else (scores > 0))
    else:
        likeliest = scores.argmax(axis=1)
        shown, prediction = (
            np.array(examples.classes)[target],
            np.array(examples.classes)[likeliest],
        )
        right = scores[np.arange(len(target)), target] if sure else likeliest == target
        residual = 1.0 - right
    return pa.table(
        {
            "id": examples.ids,
            "group": examples.group_names,
            "target": pa.array(shown, pa.float64()),
            "prediction": pa.array(prediction, pa.float64()),
            "residual": pa.array(residual, pa.float64()),
        }
    )
