"""Attribute heads by ridge regression: fitted, their strength chosen, measured, saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features, Responses, notice
from rmplug.arrays import Array
from rmplug.errors import some

from ._attribute_numbers import HeldOutLabels, numbers_of
from ._gram import CHUNK_ROWS, GramSums, RowCells, cells_of, rank_update, square
from ._heads_file import Heads, write_heads
from ._labels import AttributeLabels, LabelColumn, read_labels
from ._ridge_path import ridge_path
from ._splits import HeldOutSplit, grouped_split, original_split
from ._states import StateBatches, state_column

KIND = "multi-objective-ridge"
ORIGINAL_GRID = tuple(10.0**power for power in range(-4, 5))
GRID = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 10.0)


@dataclass(frozen=True)
class RidgeSettings:
    """The parameters of ``multi-objective-ridge``."""

    attributes: Mapping[str, LabelColumn]
    state: str | None
    alphas: tuple[float, ...] | None
    intercept: bool
    folds: int
    compat: str | None


@dataclass(frozen=True)
class Ridge:
    """The settings of one fit."""

    alphas: tuple[float, ...]
    intercept: bool
    relative: bool
    """True if alphas are in units of the mean squared length of a state."""


@dataclass(frozen=True)
class Learnt:
    """The weights (alphas, width, K) and offsets (alphas, K) from all rows but those held out."""

    weights: Array
    offsets: Array
    means: Array
    """The mean label of each attribute, shape (K,)."""


def fit(
    settings: RidgeSettings,
    states: Sequence[Features],
    data: Sequence[Responses | Features],
    seed: int,
    directory: Path,
) -> tuple[list[dict[str, Any]], dict[str, pa.Table]]:
    """Fit the heads, write them to ``directory``, and return their numbers and tables."""
    original = settings.compat is not None
    how = Ridge(
        tuple(sorted(settings.alphas or (ORIGINAL_GRID if original else GRID))),
        settings.intercept and not original,
        not original,
    )
    labels = read_labels(settings.attributes, states, data)
    source = StateBatches(tuple(states), state_column(states, settings.state))
    split = (
        original_split(len(labels.values))
        if original
        else grouped_split(labels.groups, labels.labelled, settings.folds, seed)
    )
    cells = cells_of(labels.labelled, split.part, source.width)
    learnt = split.rest(0) if original else list(split.parts)
    for held_part in split.held:
        _check_parts(labels, split.part == held_part)
    sums = gather(source, labels, cells, learnt)
    paths = [learn(how, labels, cells, sums, split.rest(held)) for held in split.held]
    held = hold_out(source, labels, cells, split, paths, len(how.alphas))
    _check_measured(labels, held)
    best = held.best()
    final = paths[0] if original else refit(how, labels, cells, sums, best)
    _save(settings, directory, labels, source.column, how, best, final)
    _report_edges(labels, how, best)
    return numbers_of(labels, held, how.alphas, seed), {"losses": _losses(labels, held, how)}


def gather(
    source: StateBatches, labels: AttributeLabels, cells: RowCells, parts: Sequence[int]
) -> dict[int, GramSums]:
    """Sum each cell of these parts in one pass over the states."""
    sums: dict[int, GramSums] = {}
    wide = np.empty((CHUNK_ROWS, source.width))
    for start, states in source.batches():
        for index, rows in cells.within(start, start + len(states), parts):
            attributes = list(cells.cells[index].attributes)
            if index not in sums:
                sums[index] = GramSums(source.width, len(attributes))
            for chunk in np.split(rows, range(CHUNK_ROWS, len(rows), CHUNK_ROWS)):
                targets = labels.values[chunk + start][:, attributes]
                x = wide[: len(chunk)]
                x[:] = states[chunk]
                if not sums[index].add(x, targets):
                    _refuse(source, labels, start, states)
    return sums


def _refuse(source: StateBatches, labels: AttributeLabels, start: int, states: Array) -> None:
    rows = np.flatnonzero(~np.isfinite(states).all(axis=1)) + start
    ids = labels.ids.take(pa.array(rows)).to_pylist()
    raise DataError(
        f"{source.column} is not finite in {len(ids)} states ({some(ids)}); ask for them anew with "
        "dtype: float32, or drop these rows"
    )


def _check_parts(labels: AttributeLabels, held: Array) -> None:
    """Check that each attribute has labels to learn from, and a part to be measured on."""
    for k, name in enumerate(labels.names):
        if not labels.labelled[~held, k].any():
            raise DataError(
                f"attribute {name} has no label left to learn from when a part is held out; give "
                "more groups (prompts) with labels, or leave it out of attributes"
            )


def learn(
    how: Ridge,
    labels: AttributeLabels,
    cells: RowCells,
    sums: Mapping[int, GramSums],
    parts: Sequence[int],
) -> Learnt:
    """Fit weights for all strengths from the rows of some parts."""
    count = len(labels.names)
    width = next(iter(sums.values())).width
    path = Learnt(
        np.empty((len(how.alphas), width, count)),
        np.empty((len(how.alphas), count)),
        np.empty(count),
    )
    for attributes, indices in _alike(cells, parts, count).items():
        group = total(cells, sums, indices, attributes)
        weights, offsets = _path_of(how, group, how.alphas)
        path.weights[:, :, list(attributes)] = weights
        path.offsets[:, list(attributes)] = offsets
        path.means[list(attributes)] = group.y / group.rows
    return path


def refit(
    how: Ridge, labels: AttributeLabels, cells: RowCells, sums: Mapping[int, GramSums], best: Array
) -> Learnt:
    """Fit weights from all rows with the strength chosen for each attribute, at its index."""
    width = next(iter(sums.values())).width
    count = len(labels.names)
    path = Learnt(
        np.zeros((len(how.alphas), width, count)),
        np.zeros((len(how.alphas), count)),
        np.empty(count),
    )
    every = sorted({cell.part for cell in cells.cells})
    for attributes, indices in _alike(cells, every, count).items():
        group = total(cells, sums, indices, attributes)
        chosen = sorted({int(best[k]) for k in attributes})
        weights, offsets = _path_of(how, group, [how.alphas[a] for a in chosen])
        for at, alpha in enumerate(chosen):
            path.weights[alpha][:, list(attributes)] = weights[at]
            path.offsets[alpha][list(attributes)] = offsets[at]
    return path


def _alike(
    cells: RowCells, parts: Sequence[int], count: int
) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Group attributes that are labelled in the same cells, with the indices of these cells."""
    of: dict[tuple[int, ...], list[int]] = {}
    for k in range(count):
        indices = tuple(
            p for p, cell in enumerate(cells.cells) if cell.part in parts and k in cell.attributes
        )
        of.setdefault(indices, []).append(k)
    return {tuple(attributes): indices for indices, attributes in of.items()}


def total(
    cells: RowCells, sums: Mapping[int, GramSums], indices: Sequence[int], attributes: Sequence[int]
) -> GramSums:
    """Sum several cells, with the labels of ``attributes`` only."""
    whole = GramSums(sums[indices[0]].width, len(attributes))
    for index in indices:
        part = sums[index]
        at = [cells.cells[index].attributes.index(k) for k in attributes]
        whole.gram += part.gram
        whole.x += part.x
        whole.xy += part.xy[:, at]
        whole.y += part.y[at]
        whole.rows += part.rows
    return whole


def _path_of(how: Ridge, sums: GramSums, alphas: Sequence[float]) -> tuple[Array, Array]:
    """Compute weights (alphas, width, c) and offsets (alphas, c); the sums are centred in place."""
    state, label = sums.x / sums.rows, sums.y / sums.rows
    if how.intercept:
        rank_update(sums.gram, state[:, None], -float(sums.rows))
        sums.xy -= np.outer(sums.x, label)
    gram = square(sums.gram, sums.width)
    size = float(np.trace(gram)) if how.relative else 1.0
    if not size > 0:
        raise DataError("all states are the same: nothing can be learnt from them")
    weights = ridge_path(gram, sums.xy, [alpha * size for alpha in alphas])
    offsets = label - np.einsum("d,adc->ac", state, weights)
    return weights, offsets if how.intercept else np.zeros_like(offsets)


def hold_out(
    source: StateBatches,
    labels: AttributeLabels,
    cells: RowCells,
    split: HeldOutSplit,
    paths: Sequence[Learnt],
    alphas: int,
) -> HeldOutLabels:
    """Predict the rows held out from each path, in a second pass."""
    held = HeldOutLabels.empty(labels, split, alphas, np.stack([path.means for path in paths]))
    for start, states in source.batches():
        for index, rows in cells.within(start, start + len(states), split.held):
            cell = cells.cells[index]
            path, attributes = paths[split.held.index(cell.part)], list(cell.attributes)
            weights = path.weights[:, :, attributes].transpose(1, 0, 2).reshape(source.width, -1)
            for chunk in np.split(rows, range(CHUNK_ROWS, len(rows), CHUNK_ROWS)):
                products = states[chunk].astype(np.float64) @ weights
                predicted = products.reshape(len(chunk), alphas, -1) + path.offsets[:, attributes]
                held.put(start + chunk, attributes, predicted)
    return held


def _check_measured(labels: AttributeLabels, held: HeldOutLabels) -> None:
    missing = [n for n, rows in zip(labels.names, held.rows, strict=True) if not len(rows)]
    if missing:
        raise DataError(
            f"attribute {some(missing)} has no label among the rows held out; give more rows with "
            "labels, or leave it out of attributes"
        )


def _save(
    settings: RidgeSettings,
    directory: Path,
    labels: AttributeLabels,
    column: str,
    how: Ridge,
    best: Array,
    final: Learnt,
) -> None:
    every = range(len(labels.names))
    weight = np.stack([final.weights[best[k], :, k] for k in every])
    bias = np.array([final.offsets[best[k], k] for k in every])
    about = {
        "kind": KIND,
        "state": column,
        "columns": {name: attribute.column for name, attribute in settings.attributes.items()},
        "alphas": [how.alphas[index] for index in best.tolist()],
        "compat": settings.compat,
    }
    write_heads(directory, Heads(labels.names, weight, bias, labels.low, labels.high), about)


def at_edge(index: int, count: int) -> bool:
    """Check whether the best strength is at an end of the grid, so that a wider grid may be
    better."""
    return count > 1 and index in (0, count - 1)


def _report_edges(labels: AttributeLabels, how: Ridge, best: Array) -> None:
    edges = [
        name
        for name, index in zip(labels.names, best.tolist(), strict=True)
        if at_edge(index, len(how.alphas))
    ]
    notice(
        f"the best alpha is at the edge of the grid {how.alphas[0]:g} … {how.alphas[-1]:g}",
        edges,
        of="attributes",
    )


def _losses(labels: AttributeLabels, held: HeldOutLabels, how: Ridge) -> pa.Table:
    """Make the table ``attribute, alpha, mse``: the held-out error of each strength."""
    losses = held.losses()
    return pa.table(
        {
            "attribute": pa.array(np.repeat(labels.names, len(how.alphas)).tolist(), pa.string()),
            "alpha": np.tile(np.array(how.alphas), len(labels.names)),
            "mse": losses.T.ravel(),
        }
    )
