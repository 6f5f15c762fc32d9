"""Ridge weights for many strengths from the Gram sums of some parts of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.errors import some

from ._gram import CHUNK_ROWS, GramSums, Precision, RowCells, rank_update, square
from ._labels import AttributeLabels
from ._refine import Group
from ._ridge_path import ridge_path
from ._states import StateBatches


@dataclass(frozen=True)
class Ridge:
    """The settings of one fit."""

    alphas: tuple[float, ...]
    intercept: bool
    relative: bool
    """True if alphas are in units of the mean squared length of a state."""
    again: bool
    """True if the heads are fitted again on all rows."""


@dataclass(frozen=True)
class Learnt:
    """The weights (alphas, width, K) and offsets (alphas, K) from all rows but those held out."""

    weights: Array
    offsets: Array
    means: Array
    """The mean label of each attribute, shape (K,)."""
    groups: list[Group] = field(default_factory=list)
    """What the weights were solved with; none where they are of full precision."""

    @classmethod
    def empty(cls, alphas: int, width: int, count: int) -> Learnt:
        return cls(np.zeros((alphas, width, count)), np.zeros((alphas, count)), np.zeros(count))


def gather(
    source: StateBatches,
    labels: AttributeLabels,
    cells: RowCells,
    parts: Sequence[int],
    shift: Array,
    precision: Precision = np.float64,
) -> dict[int, GramSums]:
    """Sum each cell of these parts in one pass over the states, less ``shift`` (width,)."""
    sums: dict[int, GramSums] = {}
    wide = np.empty((CHUNK_ROWS, source.width))
    for start, states in source.batches():
        for index, rows in cells.within(start, start + len(states), parts):
            attributes = list(cells.cells[index].attributes)
            if index not in sums:
                sums[index] = GramSums(source.width, len(attributes), precision)
            for chunk in np.split(rows, range(CHUNK_ROWS, len(rows), CHUNK_ROWS)):
                targets = labels.values[chunk + start][:, attributes]
                x = wide[: len(chunk)]
                np.subtract(states[chunk], shift, out=x)
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


def learn(
    how: Ridge,
    labels: AttributeLabels,
    cells: RowCells,
    sums: Mapping[int, GramSums],
    shift: Array,
    parts: Sequence[int],
) -> Learnt:
    """Fit weights for all strengths from the rows of some parts."""
    path = Learnt.empty(len(how.alphas), len(shift), len(labels.names))
    every = list(range(len(how.alphas)))
    for attributes, indices in _alike(cells, parts, len(labels.names)).items():
        _learn_group(
            how, path, attributes, indices, total(cells, sums, indices, attributes), shift, every
        )
    return path


def refit(
    how: Ridge,
    labels: AttributeLabels,
    cells: RowCells,
    sums: Mapping[int, GramSums],
    shift: Array,
    best: Array,
) -> Learnt:
    """Fit weights from all rows with the strength chosen for each attribute, at its index."""
    path = Learnt.empty(len(how.alphas), len(shift), len(labels.names))
    every = sorted({cell.part for cell in cells.cells})
    for attributes, indices in _alike(cells, every, len(labels.names)).items():
        chosen = sorted({int(best[k]) for k in attributes})
        _learn_group(
            how, path, attributes, indices, total(cells, sums, indices, attributes), shift, chosen
        )
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
    first = sums[indices[0]]
    whole = GramSums(first.width, len(attributes), first.precision)
    for index in indices:
        whole.include(sums[index], [cells.cells[index].attributes.index(k) for k in attributes])
    return whole


def _learn_group(
    how: Ridge,
    learnt: Learnt,
    attributes: tuple[int, ...],
    indices: tuple[int, ...],
    sums: GramSums,
    shift: Array,
    alphas: list[int],
) -> None:
    """Fit the weights of attributes with the same rows for some strengths; the sums are centred in
    place."""
    centred = how.intercept or sums.precision is not np.float64
    state, label = sums.x / sums.rows, sums.y / sums.rows
    if centred:
        rank_update(sums.gram, state[:, None], -float(sums.rows))
        sums.xy -= np.outer(sums.x, label)
        sums.squares -= sums.rows * float(state @ state)
    mean = state + shift
    size = sums.squares + (0 if how.intercept or not centred else sums.rows * float(mean @ mean))
    if not size > 0:
        raise DataError("all states are the same: nothing can be learnt from them")
    penalties = np.array([how.alphas[alpha] for alpha in alphas]) * (size if how.relative else 1)
    gram = square(sums.gram, sums.width)
    if sums.precision is np.float64:
        weights = ridge_path(gram, sums.xy, penalties.tolist())
    else:
        group = Group.of(
            attributes, indices, sums.rows, mean, alphas, penalties, gram, how.intercept
        )
        weights = group.path(sums.xy, label)
        learnt.groups.append(group)
    own = list(attributes)
    learnt.means[own] = label
    for at, alpha in enumerate(alphas):
        learnt.weights[alpha][:, own] = weights[at]
        if how.intercept:
            learnt.offsets[alpha][own] = label - mean @ weights[at]
