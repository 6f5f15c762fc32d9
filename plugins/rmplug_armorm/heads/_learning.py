"""Ridge weights for many strengths from the Gram sums of some parts of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.errors import some

from ._few_rows import FewRows
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

    def put(
        self,
        attributes: Sequence[int],
        alphas: Sequence[int],
        weights: Array,
        label: Array,
        state: Array | None,
    ) -> None:
        """Store weights (alphas, width, attributes), and the mean label of each attribute, which
        is predicted for the mean state where there is an offset."""
        own = list(attributes)
        self.means[own] = label
        for at, alpha in enumerate(alphas):
            self.weights[alpha][:, own] = weights[at]
            if state is not None:
                self.offsets[alpha][own] = label - state @ weights[at]


def gather(
    source: StateBatches,
    labels: AttributeLabels,
    cells: RowCells,
    parts: Sequence[int],
    shift: Array,
    few: FewRows,
    precision: Precision = np.float64,
) -> dict[int, GramSums]:
    """Sum each cell of these parts in one pass over the states, less ``shift`` (width,), but those
    of attributes with few rows alone, whose states are kept."""
    sums: dict[int, GramSums] = {}
    wide = np.empty((CHUNK_ROWS, source.width))
    kept = few.attributes
    for start, states in source.batches():
        if not few.put(start, states):
            _refuse(source, labels, start, states)
        for index, rows in cells.within(start, start + len(states), parts):
            attributes = list(cells.cells[index].attributes)
            if kept.issuperset(attributes):
                continue
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
    attributes: Sequence[int],
    parts: Sequence[int],
    best: Array | None = None,
) -> Learnt:
    """Fit weights of some attributes from the rows of some parts, for all strengths, or only for
    the best of each attribute, at its index."""
    path = Learnt.empty(len(how.alphas), len(shift), len(labels.names))
    for alike, indices in _alike(cells, parts, attributes).items():
        whole = total(cells, sums, indices, alike)
        _learn_group(how, path, alike, indices, whole, shift, _strengths(how, alike, best))
    return path


def learn_few(
    how: Ridge,
    labels: AttributeLabels,
    few: FewRows,
    part: Array,
    paths: Sequence[tuple[Learnt, Sequence[int]]],
    best: Array | None = None,
) -> None:
    """Fit the weights of attributes with few rows, each path from the rows of its parts, which are
    multiplied once for all paths; strengths as in ``learn``."""
    for attributes, positions in few.alike:
        rows = few.rows[positions]
        products = few.products(positions, how.intercept)
        alphas = _strengths(how, attributes, best)
        for path, parts in paths:
            own = np.flatnonzero(np.isin(part[rows], parts))
            targets = labels.values[rows[own]][:, attributes]
            label = targets.mean(axis=0)
            gram = products.within(own)
            penalties = _penalties(how, alphas, float(gram.trace()))
            targets = targets - label if how.intercept else targets
            weights, state = products.path(own, gram, targets, penalties.tolist())
            path.put(attributes, alphas, weights, label, state if how.intercept else None)


def _strengths(how: Ridge, attributes: Sequence[int], best: Array | None) -> list[int]:
    every = range(len(how.alphas))
    return list(every) if best is None else sorted({int(best[k]) for k in attributes})


def _penalties(how: Ridge, alphas: Sequence[int], size: float) -> Array:
    """Return the penalties of strengths for states whose squared lengths sum to ``size``."""
    if not size > 0:
        raise DataError("all states are the same: nothing can be learnt from them")
    return np.array([how.alphas[alpha] for alpha in alphas]) * (size if how.relative else 1)


def _alike(
    cells: RowCells, parts: Sequence[int], attributes: Sequence[int]
) -> dict[tuple[int, ...], tuple[int, ...]]:
    """Group attributes that are labelled in the same cells, with the indices of these cells."""
    of: dict[tuple[int, ...], list[int]] = {}
    for k in attributes:
        indices = tuple(
            p for p, cell in enumerate(cells.cells) if cell.part in parts and k in cell.attributes
        )
        of.setdefault(indices, []).append(k)
    return {tuple(alike): indices for indices, alike in of.items()}


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
    penalties = _penalties(how, alphas, size)
    gram = square(sums.gram, sums.width)
    if sums.precision is np.float64:
        weights = ridge_path(gram, sums.xy, penalties.tolist())
    else:
        group = Group.of(
            attributes, indices, sums.rows, mean, alphas, penalties, gram, how.intercept
        )
        weights = group.path(sums.xy, label)
        learnt.groups.append(group)
    learnt.put(attributes, alphas, weights, label, mean if how.intercept else None)
