"""Concordance of two orders of the same rows, and what follows from it where ties are many."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from rmplug.stats.estimates import Estimate
from rmplug_bench._arrays import Floats, Ints


@dataclass(frozen=True)
class Counts:
    """Counts per row, over all rows of its block; each of shape (rows,)."""

    agreeing: Floats
    """Rows that both orders put on the same side of this one, less those on opposite sides."""
    left: Floats
    """Rows that the left order does not tie with this one."""
    right: Floats
    """Rows that the right order does not tie with this one."""
    both: Floats
    """Rows that neither order ties with this one."""


@dataclass(frozen=True)
class Concordance:
    """Two orders compared, row by row."""

    counts: Counts
    slopes: Counts
    """By how much the sum of each count grows with the row's weight."""

    def tau_b(self) -> Estimate:
        """Estimate Kendall's tau-b (1945), which counts a comparison that one order ties as half
        lost; NaN where one of them ties all."""
        left, right = float(self.counts.left.sum()), float(self.counts.right.sum())
        spread = float(np.sqrt(left * right))
        if not spread > 0:
            return self._none()
        value = float(self.counts.agreeing.sum()) / spread
        shares = self.slopes.left / left + self.slopes.right / right
        return self._estimate(value, self.slopes.agreeing / spread - value / 2 * shares)

    def mean_tau_b(self, block: Ints) -> Estimate:
        """Estimate the mean over the blocks of their tau-b; blocks without one do not count."""
        agreeing, left, right = (
            np.bincount(block, values)
            for values in (self.counts.agreeing, self.counts.left, self.counts.right)
        )
        spread = np.sqrt(left * right)
        known = spread > 0
        if not known.any():
            return self._none()
        spread, left, right = (np.where(known, one, 1.0) for one in (spread, left, right))
        taus = np.where(known, agreeing / spread, 0.0)
        shares = self.slopes.left / left[block] + self.slopes.right / right[block]
        slope = known[block] * (self.slopes.agreeing / spread[block] - taus[block] / 2 * shares)
        number = int(known.sum())
        return self._estimate(float(taus.sum()) / number, slope / number)

    def gamma(self) -> Estimate:
        """Estimate Goodman and Kruskal's gamma (1954): of comparisons that neither order ties."""
        return self._ratio(self.counts.both, self.slopes.both)

    def somers_d(self) -> Estimate:
        """Estimate Somers' d (1962) of the left order given the right one: of the comparisons that
        the right order does not tie; one that the left order ties counts nothing."""
        return self._ratio(self.counts.right, self.slopes.right)

    def _ratio(self, counted: Floats, slope: Floats) -> Estimate:
        total = float(counted.sum())
        if not total > 0:
            return self._none()
        value = float(self.counts.agreeing.sum()) / total
        return self._estimate(value, (self.slopes.agreeing - value * slope) / total)

    def _estimate(self, value: float, slope: Floats) -> Estimate:
        """Return the estimate from its slopes by the weight of each row."""
        return Estimate(value, (slope - slope.mean()) * len(slope), "correlation")

    def _none(self) -> Estimate:
        return Estimate(float("nan"), np.full(len(self.counts.left), np.nan), "correlation")


def concordance(
    left: Floats, right: Floats, block: Ints | None = None, groups: Ints | None = None
) -> Concordance:
    """Compare each row with all others of its block (without blocks, with all others).

    ``groups`` are drawn together where rows are resampled: a comparison inside a group comes with
    it once, one of two groups with either of them. By default each row is its own group.
    """
    x, y = (np.unique(values, return_inverse=True)[1].astype(np.int64) for values in (left, right))
    own = np.zeros(len(x), dtype=np.int64) if block is None else np.asarray(block)
    counts = _counted(own, x, y)
    if groups is None:
        return Concordance(counts, _slopes(counts, None))
    within = np.unique(np.stack([own, groups]), axis=1, return_inverse=True)[1].ravel()
    return Concordance(counts, _slopes(counts, _counted(within.astype(np.int64), x, y)))


def _slopes(counts: Counts, inside: Counts | None) -> Counts:
    pairs = [(getattr(counts, one.name), one.name) for one in fields(Counts)]
    if inside is None:
        return Counts(*(2 * values for values, _ in pairs))
    return Counts(*(2 * values - getattr(inside, name) for values, name in pairs))


def _counted(block: Ints, x: Ints, y: Ints) -> Counts:
    """Count by sorting once per binary digit of the number of distinct values, so that memory grows
    with the rows, not with their comparisons."""
    every = np.ones(len(x))
    size = np.bincount(block)[block]
    same_x, same_y = _size_of(block, x), _size_of(block, y)
    same = _size_of(block * (y.max(initial=0) + 1) + y, x)
    above = _beaten(block, x, every) + _beaten(block, y, every)
    agreeing = 4 * _beaten_in_both(block, x, y) - 2 * above + size
    return Counts(agreeing, size - same_x, size - same_y, size - same_x - same_y + same)


def kendall(block: Ints, left: Floats, right: Floats) -> Floats:
    """Compute, per block numbered from 0, Kendall's tau-b; NaN where an order ties all rows."""
    found = concordance(left, right, block).counts
    agreeing, of_left, of_right = (
        np.bincount(block, values) for values in (found.agreeing, found.left, found.right)
    )
    spread = np.sqrt(of_left * of_right)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(spread > 0, agreeing / spread, np.nan), dtype=np.float64)


def _beaten_in_both(block: Ints, x: Ints, y: Ints) -> Floats:
    """Sum, over the rows of the block, half-counts in x times half-counts in y: 1 for a lower
    value, one half for the same.

    Two values of y differ first at one binary digit: there the higher one has a 1, so that it
    counts those with a 0 and the same digits before.
    """
    top = int(y.max(initial=0)) + 1
    total = _beaten(block * top + y, x, np.ones(len(x))) / 2
    for digit in range(int(y.max(initial=0)).bit_length()):
        lower = ((y >> digit) & 1) == 0
        beaten = _beaten(block * top + (y >> (digit + 1)), x, lower * 1.0)
        total += np.where(lower, 0.0, beaten)
    return total


def _beaten(block: Ints, x: Ints, weights: Floats) -> Floats:
    """Sum the weights of the rows of the same block with a lower x, and half of those with the
    same."""
    rows, starts, firsts = _runs(block, x)
    reached = np.concatenate([[0.0], np.cumsum(weights[rows])])
    ends = np.append(starts[1:], len(rows))
    middle = (reached[starts] + reached[ends]) / 2 - reached[firsts]
    return _to_rows(rows, starts, ends, middle)


def _size_of(block: Ints, x: Ints) -> Floats:
    """Count the rows of the same block with the same x."""
    rows, starts, _ = _runs(block, x)
    ends = np.append(starts[1:], len(rows))
    return _to_rows(rows, starts, ends, (ends - starts).astype(np.float64))


def _runs(block: Ints, x: Ints) -> tuple[Ints, Ints, Ints]:
    """Return rows by block and x, the places where runs of both begin, and where their blocks
    do."""
    rows = np.lexsort((x, block))
    blocks, values = block[rows], x[rows]
    changes = np.flatnonzero((np.diff(blocks) != 0) | (np.diff(values) != 0)) + 1
    starts = np.concatenate([[0], changes]) if len(rows) else changes
    heads = np.concatenate([[0], np.flatnonzero(np.diff(blocks) != 0) + 1])
    firsts = heads[np.searchsorted(heads, starts, side="right") - 1]
    return rows, starts, firsts


def _to_rows(rows: Ints, starts: Ints, ends: Ints, of_runs: Floats) -> Floats:
    values = np.empty(len(rows))
    values[rows] = np.repeat(of_runs, ends - starts)
    return values
