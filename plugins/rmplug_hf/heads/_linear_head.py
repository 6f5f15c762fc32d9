"""The training of a linear head on pooled states, with its penalty chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rmplug import DataError, Features, Pairs, Responses, RewardModel
from rmplug.arrays import Array
from rmplug.data.messages import length_gap
from rmplug.data.subsets import subset_rows
from rmplug.models.head_encoders import encoder_of
from rmplug.models.state_encoder import StateEncoder
from rmplug.stats.folds import deal_folds
from rmplug.stats.metric_rows import mean_of, measured, number, r2_columns, r2_of, share_of, wins
from rmplug.stats.strength_search import StrengthSearch
from rmplug_hf.loading._encoder import EncoderModel

from ._examples import StateExamples, examples_of
from ._linear_reward import save
from ._newton import Rows, Weights, minimise, minimise_from, slope_at_zero

if TYPE_CHECKING:
    from .heads import LinearHead

PATIENCE, ROUGHLY, AT_ONCE = 2, 1e-4, 3
ONWARD = 0.5
"""The share of what the weights changed by at the strength before that they start further on."""
STATE_ROUNDING = 1e-6


def train(
    step: LinearHead,
    model: RewardModel,
    data: Pairs | Responses,
    states: Features | None,
    seed: int,
    directory: Path,
) -> list[dict[str, Any]]:
    """Train on all rows, write the head to ``directory``, and return the held-out numbers."""
    encoder = _encoder_of(model)
    examples = examples_of(step, encoder, data, states)
    scales = scales_of(examples.rows, step.standardise)
    rows = Rows(examples.rows / scales)
    count = int(examples.groups.max()) + 1
    fold = deal_folds(examples.groups, min(step.folds, count), seed)
    grid = tuple(sorted(set(step.l2), reverse=True))
    search, weights = search_strength(rows, examples, grid, fold)
    weight = weights / scales
    bias = examples.mean - float(examples.centre @ weight)
    save(directory, encoder, weight, bias, search.strength)
    return numbers_of(examples, search, seed)


def _encoder_of(model: RewardModel) -> StateEncoder:
    if isinstance(model, EncoderModel) and model.loaded.change is not None:
        raise DataError(
            "linear-head cannot record that the states of its encoder are projected; train it on "
            "the encoder itself, and project the head"
        )
    return encoder_of(model)


def scales_of(rows: Array, standardise: bool) -> Array:
    """Return the divisors of the dimensions that give rows a mean squared length of 1. One that
    differs by no more than the rounding of states in float32 is not made as large as the others:
    MiniLM has two of 1e-32."""
    squares = np.mean(rows**2, axis=0)
    if not standardise:
        return np.full(len(squares), np.sqrt(max(squares.sum(), 1e-300)))
    varies = squares > STATE_ROUNDING**2 * squares.max(initial=0.0)
    return np.asarray(np.sqrt(np.where(varies, squares * np.count_nonzero(varies), 1)))


def search_strength(
    rows: Rows, examples: StateExamples, grid: tuple[float, ...], fold: Array
) -> tuple[StrengthSearch, Array]:
    """Compute held-out predictions from the strongest down, until two in a row are no better: a
    pass fits all folds, and all rows, for some strengths at once. Also returns the weights at the
    best strength."""
    folds = int(fold.max()) + 1
    kept = np.column_stack([*(fold != k for k in range(folds)), np.ones(len(fold), bool)])
    shares = examples.weights[:, None] * kept
    shares = shares / np.maximum(shares.sum(axis=0), 1e-300)
    fold_weights = np.bincount(fold, weights=examples.weights)
    path, held_out, losses = [], [], []
    for weights in _path(rows, examples, shares, grid):
        predicted = weights.predicted[np.arange(len(fold)), fold]
        cost = examples.weights * examples.loss.each(predicted, examples.target)
        path.append(weights.values[:, -1])
        held_out.append(predicted)
        losses.append(np.bincount(fold, weights=cost) / np.maximum(fold_weights, 1e-300))
        totals = np.array(losses) @ fold_weights
        if len(totals) - 1 - int(np.argmin(totals)) >= PATIENCE:
            break
    best = int(np.argmin(totals))
    start, every = path[best][:, None], shares[:, -1:]
    final = minimise(rows, examples.loss, examples.target, every, grid[best], start)
    search = StrengthSearch(grid, fold, np.array(held_out), np.array(losses), fold_weights)
    return search, final[:, 0]


def _path(
    rows: Rows, examples: StateExamples, shares: Array, grid: Sequence[float]
) -> Iterator[Weights]:
    """Yield the weights (d, m) at each strength, some strengths at once: they cost little more than
    one, since most of the time goes to reading the rows."""
    loss, target, count = examples.loss, examples.target, shares.shape[1]
    first = slope_at_zero(rows, loss, target, shares)
    last = before = Weights(np.zeros((rows.exact.shape[1], count)), np.zeros_like(shares))
    for start in range(0, len(grid), AT_ONCE):
        some = np.array(grid[start : start + AT_ONCE])
        begin = _onward(before, last, len(some))
        strengths, at_zero = np.repeat(some, count), np.tile(first, len(some))
        every = np.tile(shares, len(some))
        found = minimise_from(rows, loss, target, every, strengths, begin, at_zero, ROUGHLY)
        for values, predicted in zip(
            np.split(found.values, len(some), axis=1),
            np.split(found.predicted, len(some), axis=1),
            strict=True,
        ):
            before, last = last, Weights(values, predicted)
            yield last


def _onward(before: Weights, last: Weights, count: int) -> Weights:
    """Foresee the weights at the next strengths, side by side, from those at the last two."""
    step, ahead = last.values - before.values, last.predicted - before.predicted
    lengths = ONWARD * np.arange(1, count + 1).clip(max=2)
    next_ones = [last.moved(length, step, ahead) for length in lengths]
    return Weights(
        np.hstack([one.values for one in next_ones]),
        np.hstack([one.predicted for one in next_ones]),
    )


def numbers_of(examples: StateExamples, search: StrengthSearch, seed: int) -> list[dict[str, Any]]:
    """Compute held-out numbers: each fold with the strength that is best on the other folds."""
    rows = len(search.fold)
    measure = _of_ratings if examples.loss.kind == "squared" else _of_preferences
    return [
        *measure(examples, search.held_out(), search.fold, seed),
        *search.numbers(),
        number("folds", len(search.fold_weights), rows),
        number("groups", int(examples.groups.max()) + 1, rows),
        *(
            [number("identical", int((~examples.rows.any(axis=1)).sum()), rows)]
            if examples.loss.kind == "logistic"
            else []
        ),
    ]


def _of_preferences(
    examples: StateExamples, lead: Array, fold: Array, seed: int
) -> list[dict[str, Any]]:
    table = examples.table
    columns = {
        "right": wins(lead),
        "loss": np.logaddexp(0, -lead),
        "longer": wins(length_gap(table)),
    }
    statistics = {
        "accuracy": share_of("right"),
        "log-loss": mean_of("loss"),
        "accuracy-of-longer": share_of("longer"),
    }
    numbers = measured(columns, statistics, examples.groups, seed)
    for name, rows in sorted(subset_rows(table).items()):
        part = {column: values[rows] for column, values in columns.items()}
        numbers += measured(part, statistics, examples.groups[rows], seed, name)
    return numbers


def _of_ratings(
    examples: StateExamples, predicted: Array, fold: Array, seed: int
) -> list[dict[str, Any]]:
    target = examples.target
    means = np.array([target[fold != k].mean() for k in range(int(fold.max()) + 1)])
    columns = {
        **r2_columns(target, predicted),
        "error": np.abs(target - predicted),
        "of-mean": np.abs(target - means[fold]),
    }
    statistics = {"r2": r2_of(), "mae": mean_of("error"), "mae-of-mean": mean_of("of-mean")}
    return measured(columns, statistics, examples.groups, seed)
