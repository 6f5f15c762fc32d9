"""The held-out error of a performance model, beside a baseline of size alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from rmplug.stats.intervals import percentile_interval

from ._candidate_table import Trials
from ._forms import ResultForm
from ._learners import FormLearner

BASELINE = "count-only"
BLOCK_CELLS = 2_000_000


@dataclass(frozen=True)
class HeldOutResults:
    """The predictions of each candidate without its fold, (repeats, candidates); ``mean`` is the
    mean result of the other folds. ``fold_of`` and ``forms`` are those of the first repeat."""

    predicted: np.ndarray
    mean: np.ndarray
    fold_of: np.ndarray
    forms: tuple[ResultForm, ...]


def cross_validate(
    learner: FormLearner, trials: Trials, folds: int, repeats: int, seed: int
) -> HeldOutResults:
    """Predict every candidate once in each repeat, with the same folds for every learner."""
    rows = len(trials)
    folds = min(folds, rows)
    predicted, mean = np.empty((2, repeats, rows))
    first: tuple[np.ndarray, list[ResultForm]] = (np.zeros(rows, dtype=np.int64), [])
    for repeat in range(repeats):
        fold_of = np.random.default_rng([seed, repeat]).permutation(np.arange(rows) % folds)
        forms = []
        for fold in range(folds):
            out, rest = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
            form = learner.learn(trials.take(rest), seed).form
            predicted[repeat, out] = form.values(trials.counts[out], trials.sizes[out])
            mean[repeat, out] = trials.target[rest].mean()
            forms.append(form)
        first = (fold_of, forms) if repeat == 0 else first
    return HeldOutResults(predicted, mean, first[0], tuple(first[1]))


def learn_halves(
    learner: FormLearner, trials: Trials, splits: int, seed: int, strength: float | None
) -> tuple[ResultForm, ...]:
    """Learn forms of random halves of the candidates, in twos that share no candidate."""
    forms = []
    for split in range(splits):
        order = np.random.default_rng([seed, split, 1]).permutation(len(trials))
        for half in (order[::2], order[1::2]):
            forms.append(learner.learn(trials.take(np.sort(half)), seed, strength).form)
    return tuple(forms)


def compare_with_baseline(
    name: str,
    target: np.ndarray,
    model: HeldOutResults,
    size: HeldOutResults,
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Make rows of metrics: the model, the count-only baseline, and their paired difference.

    Intervals are of a bootstrap over candidates, the same resamples for both.
    """
    drawn = np.random.default_rng([seed, 2]).integers(0, len(target), (resamples, len(target)))
    own, alone = (_compute_draws(target, held, drawn) for held in (model, size))
    at = np.arange(len(target))[None]
    own_value, alone_value = (_compute_draws(target, held, at) for held in (model, size))
    n = len(target)
    rows = []
    for label, kind, values, draws in (
        (name, "model", own_value, own),
        (BASELINE, "baseline", alone_value, alone),
    ):
        rows += [
            make_row(metric, values[metric][0], draws[metric], n, model=label, kind=kind)
            for metric in values
        ]
    for metric in own:
        value = own_value[metric][0] - alone_value[metric][0]
        draws = own[metric] - alone[metric]
        row = make_row("difference", value, draws, n, metric, model=name, kind="model")
        rows.append({**row, "other": BASELINE})
    return rows


def make_row(
    metric: str, value: float, draws: np.ndarray, n: int, subset: str = "all", **more: Any
) -> dict[str, Any]:
    low, high = percentile_interval(draws, n)
    finite = float(value) if np.isfinite(value) else None
    row = {"metric": metric, "subset": subset, "value": finite, "low": low, "high": high, "n": n}
    return {**row, **more}


def _compute_draws(
    target: np.ndarray, held: HeldOutResults, drawn: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute each statistic of each resample, the mean over repeats."""
    squared = ((held.predicted - target) ** 2).mean(axis=0)
    of_mean = ((held.mean - target) ** 2).mean(axis=0)
    wrong, blind = squared[drawn].mean(axis=1), of_mean[drawn].mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = np.where(blind > 0, 1 - wrong / blind, np.nan)
    return {
        "rmse": np.sqrt(wrong),
        "r2": explained,
        "spearman": _compute_spearman(target, _flatten_constant(held), drawn),
    }


def _flatten_constant(held: HeldOutResults) -> np.ndarray:
    """Flatten predictions that are the mean of the other folds: that is lower where a fold is high,
    and would look like an order turned round."""
    flat = np.isclose(held.predicted, held.mean, rtol=1e-9, atol=0).all(axis=1, keepdims=True)
    return np.where(flat, 0.0, held.predicted)


def _compute_spearman(target: np.ndarray, predicted: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    step = max(1, BLOCK_CELLS // drawn.shape[1])
    parts = []
    for start in range(0, len(drawn), step):
        block = drawn[start : start + step]
        ranks = _rank_rows(target[block])
        parts.append(
            np.mean([_correlate_rows(ranks, _rank_rows(p[block])) for p in predicted], axis=0)
        )
    return np.concatenate(parts)


def _rank_rows(values: np.ndarray) -> np.ndarray:
    ranks = rankdata(values, axis=1)
    return np.asarray(ranks - ranks.mean(axis=1, keepdims=True))


def _correlate_rows(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Correlate each row; 0 where one side does not vary."""
    spread = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    return np.asarray((left * right).sum(axis=1) / np.where(spread > 0, spread, 1.0))


def add_sentences(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to the difference in error a sentence that says whether the features help."""
    differences = {(row["metric"], row["subset"]): row for row in rows if row.get("other")}
    row = differences["difference", "rmse"]
    row["sentence"] = _write_verdict(row)
    rank = differences["difference", "spearman"]
    if rank["low"] is not None:
        rank["sentence"] = _write_rank_verdict(rank)
    return rows


def _write_verdict(row: Mapping[str, Any]) -> str:
    if row["low"] is None:
        return "There are too few candidates to tell whether the features add anything."
    evidence = (
        f"(held-out RMSE {row['value']:+.4g}, 95 % {row['low']:+.4g} to {row['high']:+.4g}, "
        f"{row['n']} candidates)"
    )
    if row["high"] < 0:
        return (
            f"The features predict results better than the number of human labels alone {evidence}."
        )
    worse = "predict worse than" if row["low"] > 0 else "add nothing that can be shown to"
    return (
        f"The features {worse} the number of human labels alone {evidence}: "
        "whether routing by them beats routing at random is open."
    )


def _write_rank_verdict(row: Mapping[str, Any]) -> str:
    word = "better" if row["low"] > 0 else "no better"
    return (
        f"In the order of candidates, the features do {word} than the number of human labels alone "
        f"(held-out Spearman {row['value']:+.3f}, 95 % {row['low']:+.3f} to {row['high']:+.3f})."
    )
