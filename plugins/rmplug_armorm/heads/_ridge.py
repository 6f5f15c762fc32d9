"""Attribute heads by ridge regression: fitted, their strength chosen, measured, saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features, Responses, notice
from rmplug.arrays import Array
from rmplug.errors import some

from ._attribute_numbers import HeldOutLabels, numbers_of
from ._few_rows import FewRows
from ._gram import CHUNK_ROWS, Precision, RowCells, cells_of
from ._heads_file import Heads, write_heads
from ._labels import AttributeLabels, LabelColumn, read_labels
from ._learning import Learnt, Ridge, gather, learn, learn_few
from ._refine import Columns, Group, Imprecise, refine
from ._splits import HeldOutSplit, grouped_split, original_split
from ._states import StateBatches, state_column

KIND = "multi-objective-ridge"
LEAST_WIDTH = 512
"""From this width on, sums in float32 save more than making their weights exact costs."""
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
class Solved:
    """Held-out predictions, the strength chosen for each attribute, and the final weights."""

    held: HeldOutLabels
    best: Array
    final: Learnt


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
    for held_part in split.held:
        _check_parts(labels, split.part == held_part)
    solved = solve(how, source, labels, cells, split)
    _save(settings, directory, labels, source.column, how, solved.best, solved.final)
    _report_edges(labels, how, solved.best)
    numbers = numbers_of(labels, solved.held, how.alphas, seed)
    return numbers, {"losses": _losses(labels, solved.held, how)}


def solve(
    how: Ridge,
    source: StateBatches,
    labels: AttributeLabels,
    cells: RowCells,
    split: HeldOutSplit,
) -> Solved:
    """Learn, from sums in float32 where that pays and is precise enough."""
    few = FewRows.empty(source, labels, np.isin(split.part, split.learnt(how.again)))
    if _single_pays(how, source, labels, few):
        with suppress(Imprecise):
            return learn_heads(how, source, labels, cells, split, few, np.float32)
    return learn_heads(how, source, labels, cells, split, few, np.float64)


def _single_pays(how: Ridge, source: StateBatches, labels: AttributeLabels, few: FewRows) -> bool:
    """Whether sums in float32 save time, and are likely to be precise enough: the penalty, or more
    rows than dimensions, keeps the matrices far from singular."""
    many = few.others(len(labels.names))
    enough = how.relative and how.alphas[0] >= GRID[0]
    enough = enough or all(labels.labelled[:, many].sum(axis=0) > 1.5 * source.width)
    return source.single and source.width >= LEAST_WIDTH and enough


def learn_heads(
    how: Ridge,
    source: StateBatches,
    labels: AttributeLabels,
    cells: RowCells,
    split: HeldOutSplit,
    few: FewRows,
    precision: Precision,
) -> Solved:
    """Learn from sums of some precision; raises Imprecise where float32 is too coarse."""
    learnt = split.learnt(how.again)
    centred = how.intercept or precision is not np.float64
    shift = source.shift() if centred else np.zeros(source.width)
    sums = gather(source, labels, cells, learnt, shift, few, precision)
    many = few.others(len(labels.names))
    rests = [split.rest(held) for held in split.held]
    paths = [learn(how, labels, cells, sums, shift, many, rest) for rest in rests]
    learn_few(how, labels, few, split.part, list(zip(paths, rests, strict=True)))
    held = hold_out(source, labels, cells, split, paths, len(how.alphas))
    _check_measured(labels, held)
    best = held.best()
    final = paths[0]
    if how.again:
        final = learn(how, labels, cells, sums, shift, many, learnt, best)
        learn_few(how, labels, few, split.part, [(final, learnt)], best)
    if final.groups:
        wanted = [_columns(final, group, best) for group in final.groups]
        weakest = [_weakest(path, group) for path in paths for group in path.groups]
        refine(source, labels, cells, wanted, weakest)
        for columns in wanted:
            chosen = best[columns.attributes]
            final.weights[chosen, :, columns.attributes] = columns.weights.T
            final.offsets[chosen, columns.attributes] = columns.offsets
    return Solved(held, best, final)


def _columns(learnt: Learnt, group: Group, best: Array) -> Columns:
    """The weights of a group's attributes, each at its best strength."""
    attributes = list(group.attributes)
    chosen = best[attributes]
    return Columns(
        group,
        attributes,
        np.array([group.alphas.index(alpha) for alpha in chosen.tolist()]),
        learnt.weights[chosen, :, attributes].T,
        learnt.offsets[chosen, attributes],
    )


def _weakest(learnt: Learnt, group: Group) -> Columns:
    """The weights of a group at the least strength, where rounding does most harm."""
    k, alpha = group.attributes[0], group.alphas[0]
    weights, offsets = learnt.weights[alpha][:, [k]], learnt.offsets[alpha][[k]]
    return Columns(group, [k], np.zeros(1, int), weights, offsets)


def _check_parts(labels: AttributeLabels, held: Array) -> None:
    """Check that each attribute has labels to learn from, and a part to be measured on."""
    for k, name in enumerate(labels.names):
        if not labels.labelled[~held, k].any():
            raise DataError(
                f"attribute {name} has no label left to learn from when a part is held out; give "
                "more groups (prompts) with labels, or leave it out of attributes"
            )


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
