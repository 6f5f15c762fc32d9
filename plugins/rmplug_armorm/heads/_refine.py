"""Ridge weights from sums in float32, made exact by residuals in float64 over the rows.

Sums and factors in float32 take half the time, and leave weights about 1e-5 from exact ones. What
these leave unexplained, summed over the rows in float64 and solved for with the same factors, is
what they lack, to as many digits again: each pass over the states adds five. Source: Wilkinson
1963, Rounding Errors in Algebraic Processes, chapter 3 (iterative refinement).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rmplug.arrays import Array

from ._gram import RowCells
from ._labels import AttributeLabels
from ._ridge_path import PathFactors, factors_of
from ._states import StateBatches

CHUNK_ROWS = 512
"""Rows in float64 at a time: few enough for the cache, since each is used twice."""
MOST_PASSES = 4
PRECISE = 1e-10
"""The relative error of weights, as foreseen, at which a pass is the last."""
ROUGH = 1e-3
"""The relative error of weights that only measure how good a strength is: its held-out error is
then right to about as much."""
SLOWEST = 1e-2
"""The share of an error that a pass may leave; with more, the sums are too coarse."""


class Imprecise(Exception):
    """Sums in float32 are too coarse for these states and strengths."""


@dataclass(frozen=True)
class Group:
    """Attributes that are learnt from the same rows: their centred matrix, factored for each
    strength."""

    attributes: tuple[int, ...]
    cells: tuple[int, ...]
    rows: int
    mean: Array
    """The mean state, shape (width,)."""
    alphas: list[int]
    """The index of each penalty in the grid of strengths."""
    penalties: Array
    factors: PathFactors
    along: Array | None
    """The solution for the mean state at each strength (width, strengths), where no offset is
    learnt: in float32 a matrix that is not centred would be that of the mean and little else."""

    @classmethod
    def of(
        cls,
        attributes: tuple[int, ...],
        cells: tuple[int, ...],
        rows: int,
        mean: Array,
        alphas: list[int],
        penalties: Array,
        gram: Array,
        intercept: bool,
    ) -> Group:
        """Factor a centred matrix in float32; raises Imprecise where that cannot be done."""
        factors = factors_of(gram, penalties.tolist())
        if factors is None:
            raise Imprecise
        along = None if intercept else factors.path(mean[:, None].astype(np.float32))[:, :, 0].T
        return cls(attributes, cells, rows, mean, alphas, penalties, factors, along)

    def path(self, products: Array, label: Array) -> Array:
        """Solve for centred products (width, c) and mean labels (c,) at each strength; returns
        (strengths, width, c)."""
        count, c = len(self.penalties), products.shape[1]
        numbers = np.repeat(np.arange(count), c)
        found = np.hstack(list(self.factors.path(products.astype(np.float32)))).astype(float)
        found = self._with_mean(found, self.rows * np.tile(label, count), numbers)
        return found.reshape(len(found), count, c).transpose(1, 0, 2)

    def solve(self, products: Array, sums: Array, numbers: Array) -> Array:
        """Solve for centred products (width, c) and sums of labels (c,), each with the penalty of
        its number (c,)."""
        found = self.factors.solve(products.astype(np.float32), numbers).astype(float)
        return self._with_mean(found, sums, numbers)

    def _with_mean(self, found: Array, sums: Array, numbers: Array) -> Array:
        """Let solutions explain the mean label too, where there is no offset for it (the formula of
        Sherman and Morrison)."""
        if self.along is None:
            return found
        along = self.along[:, numbers].astype(float)
        rest = sums - self.rows * (self.mean @ found)
        return np.asarray(found + along * (rest / (1 + self.rows * (self.mean @ along))))


@dataclass
class Columns:
    """Weights (width, c) and offsets (c,) of some attributes (c,) of a group, each with the penalty
    of its number (c,)."""

    group: Group
    attributes: list[int]
    numbers: Array
    weights: Array
    offsets: Array

    def lacking(self, products: Array, errors: Array) -> Array:
        """Return what the weights lack, from the products of the states with the errors (c, width)
        and the sums of these (c,)."""
        mean = self.group.mean
        rest = products.T - self.weights * self.group.penalties[self.numbers]
        if self.group.along is not None:  # errors stay: what vanishes is their part of the rest
            errors = mean @ rest / max(float(mean @ mean), 1e-300)
        return self.group.solve(rest - np.outer(mean, errors), errors, self.numbers)

    def move(self, step: Array, errors: Array) -> None:
        """Add what the weights lack, and what the offsets then do, if there are any."""
        self.weights = self.weights + step
        if self.group.along is None:
            self.offsets = self.offsets + errors / self.group.rows - self.group.mean @ step


def refine(
    source: StateBatches,
    labels: AttributeLabels,
    cells: RowCells,
    wanted: Sequence[Columns],
    others: Sequence[Columns],
) -> None:
    """Make the wanted weights precise, in place; raises Imprecise where that would take too many
    passes, or where the others are not ``ROUGH``."""
    before = 1.0
    for number in range(MOST_PASSES):
        every = [*wanted, *([] if number else others)]
        found = _residuals(source, labels, cells, every)
        steps = [one.lacking(*rest) for one, rest in zip(every, found, strict=True)]
        sizes = [_relative(step, one.weights) for step, one in zip(steps, every, strict=True)]
        size, rough = max(sizes[: len(wanted)]), max(sizes[len(wanted) :], default=0.0)
        rate = size / before
        if not (rate <= SLOWEST and rough <= ROUGH):
            break
        for one, step, (_, errors) in zip(wanted, steps, found, strict=False):
            one.move(step, errors)
        if size * rate <= PRECISE:
            return
        before = size
    raise Imprecise


def _relative(step: Array, weights: Array) -> float:
    length = np.maximum(np.linalg.norm(weights, axis=0), 1e-300)
    return float((np.linalg.norm(step, axis=0) / length).max())


def _residuals(
    source: StateBatches, labels: AttributeLabels, cells: RowCells, every: Sequence[Columns]
) -> list[tuple[Array, Array]]:
    """Sum the products of states and errors (c, width), and the errors (c,), of each of some
    columns, over the rows that they are learnt from."""
    found = [(np.zeros(one.weights.T.shape), np.zeros(len(one.offsets))) for one in every]
    of_cell = {
        index: [at for at, one in enumerate(every) if index in one.group.cells]
        for index in sorted({index for one in every for index in one.group.cells})
    }
    joined = {index: _joined([every[at] for at in here]) for index, here in of_cell.items()}
    parts = {cells.cells[index].part for index in joined}
    sums = {index: np.zeros((len(o), source.width + 1)) for index, (_, _, o) in joined.items()}
    wide = np.ones((CHUNK_ROWS, source.width + 1))
    for start, states in source.batches():
        for index, rows in cells.within(start, start + len(states), parts):
            if index not in joined:
                continue
            attributes, weights, offsets = joined[index]
            for chunk in np.split(rows, range(CHUNK_ROWS, len(rows), CHUNK_ROWS)):
                x = wide[: len(chunk)]
                x[:, :-1] = states[chunk]
                errors = labels.values[chunk + start][:, attributes] - offsets
                errors -= x[:, :-1] @ weights
                sums[index] += errors.T @ x
    for index, here in of_cell.items():
        edges = np.cumsum([len(every[at].offsets) for at in here])[:-1]
        for at, part in zip(here, np.split(sums[index], edges), strict=True):
            found[at][0][:] += part[:, :-1]
            found[at][1][:] += part[:, -1]
    return found


def _joined(columns: Sequence[Columns]) -> tuple[list[int], Array, Array]:
    """Return the attributes, weights (width, c) and offsets (c,) of several."""
    return (
        [k for one in columns for k in one.attributes],
        np.hstack([one.weights for one in columns]),
        np.concatenate([one.offsets for one in columns]),
    )
