"""Fitting of a performance model: learned, checked on held-out candidates, summarised, saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rmplug import Features, Metrics, Selection, notice

from ._candidate_table import Trials, WantedResult, read_trials
from ._ensemble import FormEnsemble, save_ensemble
from ._forms import PolynomialForm, ResultForm, TreesForm
from ._held_out import (
    BASELINE,
    HeldOutResults,
    add_sentences,
    compare_with_baseline,
    cross_validate,
    learn_halves,
)
from ._learners import FormLearner, LearnedForm, SizeAlone, choose_learner

TEST_SHARE = 0.2
CURVE = (0.25, 0.5, 0.75, 1.0)
SETS_OF_TREES = 16
PER_LABEL = "(any label)"


@dataclass(frozen=True)
class LearningSettings:
    """The parameters of learning."""

    model: str
    original: bool
    size_degree: int
    folds: int
    repeats: int
    splits: int
    resamples: int
    split_seed: int


def fit(
    candidates: Features | Selection,
    results: Metrics | Features | None,
    wanted: WantedResult,
    settings: LearningSettings,
    seed: int,
    directory: Path,
) -> tuple[list[dict[str, Any]], dict[str, pa.Table]]:
    """Learn a model, write it to ``directory``, and return its numbers and tables."""
    trials = read_trials(candidates, results, wanted)
    _report_constant(trials)
    learner = choose_learner(settings.model, settings.size_degree, settings.original)
    # One thread: sums of floats depend on how they are shared out between threads.
    with threadpool_limits(1):
        return _fit(trials, wanted.result, learner, settings, seed, directory)


def _fit(
    trials: Trials,
    result: str,
    learner: FormLearner,
    settings: LearningSettings,
    seed: int,
    directory: Path,
) -> tuple[list[dict[str, Any]], dict[str, pa.Table]]:
    taught, numbers = trials, list[dict[str, Any]]()
    if settings.original:
        taught, numbers = _split_as_published(trials, learner, settings, seed)
    learned = learner.learn(taught, seed)
    alone = SizeAlone(settings.size_degree)
    held, held_alone = (
        cross_validate(one, trials, settings.folds, settings.repeats, seed)
        for one in (learner, alone)
    )
    half = learn_halves(learner, trials, settings.splits, seed, learned.strength)
    ensemble = _make_ensemble(trials, result, settings, learned.form, held, half)
    save_ensemble(ensemble, directory)
    comparison = compare_with_baseline(
        settings.model, trials.target, held, held_alone, settings.resamples, seed
    )
    numbers = [
        *add_sentences(comparison),
        *numbers,
        *_make_summary_rows(trials, taught, learned, settings),
    ]
    return numbers, _make_tables(ensemble, trials, held, held_alone)


def _report_constant(trials: Trials) -> None:
    constant = np.ptp(trials.counts, axis=0) == 0
    names = [name for name, flat in zip(trials.names, constant, strict=True) if flat]
    notice("features with the same count in every candidate: no weight", names, "kept", "features")
    if np.ptp(trials.sizes) == 0:
        notice("all candidates have the same size: their number says nothing", trials.ids[:1])


def _make_ensemble(
    trials: Trials,
    result: str,
    settings: LearningSettings,
    form: ResultForm,
    held: HeldOutResults,
    half: tuple[ResultForm, ...],
) -> FormEnsemble:
    errors = np.abs(held.predicted[0] - trials.target)
    around = _choose_sets(trials, form, settings.original)
    names, folds = trials.names, held.forms
    return FormEnsemble(
        settings.model, names, form, folds, held.fold_of, errors, half, *around, result
    )


def _choose_sets(trials: Trials, form: ResultForm, original: bool) -> tuple[np.ndarray, np.ndarray]:
    """Choose the sets around which a pair's gain is measured: the empty one as published, the
    mean candidate of a polynomial, some candidates of trees, whose slopes differ everywhere."""
    if isinstance(form, TreesForm):
        rows = np.unique(np.linspace(0, len(trials) - 1, SETS_OF_TREES).round().astype(int))
        rows = np.argsort(trials.sizes, kind="stable")[rows]
        return trials.counts[rows], trials.sizes[rows]
    if original:
        return np.zeros((1, len(trials.names))), np.zeros(1)
    return trials.counts.mean(axis=0)[None], trials.sizes.mean()[None]


def _split_as_published(
    trials: Trials, learner: FormLearner, settings: LearningSettings, seed: int
) -> tuple[Trials, list[dict[str, Any]]]:
    """Split off the 80 % that the published system learns from; measure its error on the rest."""
    rest, test = train_test_split(
        np.arange(len(trials)), test_size=TEST_SHARE, random_state=settings.split_seed
    )
    numbers = []
    for share in CURVE:
        form = learner.learn(trials.take(rest[: int(len(rest) * share)]), seed).form
        off = form.values(trials.counts[test], trials.sizes[test]) - trials.target[test]
        error = float((off**2).mean())
        row = _make_plain_row("rmse-of-split", np.sqrt(error), len(test), model=settings.model)
        numbers.append({**row, "at": share, "axis": "share of training candidates"})
    numbers.append(_make_plain_row("mse-of-split", error, len(test), model=settings.model))
    return trials.take(rest), numbers


def _make_plain_row(metric: str, value: float, n: int, **more: Any) -> dict[str, Any]:
    row = {"metric": metric, "subset": "all", "value": float(value), "low": None, "high": None}
    return {**row, "n": n, **more}


def _make_summary_rows(
    trials: Trials, taught: Trials, learned: LearnedForm, settings: LearningSettings
) -> list[dict[str, Any]]:
    facts = {"candidates": len(taught), "features": len(trials.names)}
    rows = [_make_plain_row(metric, value, len(taught)) for metric, value in facts.items()]
    if learned.strength is not None:
        rows.append(_make_plain_row("strength", learned.strength, len(taught)))
    if settings.original and isinstance(learned.form, PolynomialForm):
        rows.append(_make_plain_row("intercept", learned.form.frame.size[0], len(taught)))
    return rows


def _make_tables(
    ensemble: FormEnsemble, trials: Trials, held: HeldOutResults, alone: HeldOutResults
) -> dict[str, pa.Table]:
    tables = {
        "coefficients": _tabulate_coefficients(ensemble),
        "rows": _tabulate_rows(trials, held, alone),
    }
    if isinstance(ensemble.whole, PolynomialForm) and ensemble.whole.pairwise is not None:
        tables["terms"] = _tabulate_terms(ensemble.names, ensemble.whole)
    if isinstance(ensemble.whole, TreesForm):
        tables["importance"] = _tabulate_importance(ensemble.names, ensemble.whole)
    return tables


def _tabulate_coefficients(ensemble: FormEnsemble) -> pa.Table:
    """Tabulate the value of one more label, and the addition of each feature; with half the
    candidates, drawn without replacement, a weight varies as between samples of their number."""
    values = [_value_labels(form, ensemble) for form in (ensemble.whole, *ensemble.halves)]
    low, high = np.quantile(values[1:], (0.025, 0.975), axis=0)
    names = [PER_LABEL, *ensemble.names]
    table = {"feature": names, "coefficient": values[0], "low": low, "high": high}
    return pa.table({**table, "per": ["label"] * len(names)})


def _value_labels(form: ResultForm, ensemble: FormEnsemble) -> np.ndarray:
    one, each = form.slopes(ensemble.counts, ensemble.sizes)
    return np.concatenate([[one], each])


def _tabulate_rows(trials: Trials, held: HeldOutResults, alone: HeldOutResults) -> pa.Table:
    predicted = held.predicted.mean(axis=0)
    columns = {
        "id": list(trials.ids),
        "group": list(trials.ids),
        "target": trials.target,
        "prediction": predicted,
        "residual": trials.target - predicted,
        BASELINE: alone.predicted.mean(axis=0),
        "size": trials.sizes,
    }
    return pa.table(columns)


def _tabulate_terms(names: Sequence[str], form: PolynomialForm) -> pa.Table:
    """Tabulate the weights of ``z`` and of products of two: ``a``, ``a^2``, ``a b``."""
    assert form.pairwise is not None
    first, second = np.triu_indices(len(names))
    products = [
        f"{names[i]}^2" if i == j else f"{names[i]} {names[j]}"
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
    twice = np.where(first == second, 1.0, 2.0) * form.pairwise[first, second]
    return pa.table(
        {"term": [*names, *products], "coefficient": np.concatenate([form.linear, twice])}
    )


def _tabulate_importance(names: Sequence[str], form: TreesForm) -> pa.Table:
    """Tabulate the share of the loss that splits on each feature took away."""
    gain = form.booster.feature_importance("gain").astype(float)
    labels = [*names, PER_LABEL][: len(gain)]
    share = gain / max(float(gain.sum()), 1e-300)
    nothing = pa.nulls(len(gain), pa.float64())
    return pa.table({"feature": labels, "importance": share, "low": nothing, "high": nothing})
