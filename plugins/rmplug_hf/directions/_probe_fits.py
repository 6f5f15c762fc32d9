"""The probes of one place: ridge regression of numbers, logistic regression of classes.

All targets, and their labels shuffled, are fitted together on the same rows. For each fold that is
held out, the strength of the penalty is chosen by cross-validation among the other folds alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rmplug.arrays import Array
from rmplug_hf.heads._newton import Rows, log_one_plus_exp, minimise

from ._fold_sums import FoldSums, Ridge, Sums
from ._targets import Target

CONSTANT = 10.0
"""The size of the column that gives the intercept: so large that its penalty does not count."""
ENOUGH = 1e-4
"""The gradient at which logistic regression ends, as a share of that at zero."""
RANDOM = 200
"""Random directions that are kept of each place."""


@dataclass(frozen=True)
class Labels:
    """The logistic loss of signs (n, m): one column of them for each problem."""

    signs: Array

    def each(self, predicted: Array, target: Array) -> Array:
        """Return the loss of each row in each problem, in nats."""
        return log_one_plus_exp(-self.signs * predicted)

    def slopes(self, predicted: Array, target: Array) -> tuple[Array, Array]:
        """Return the first and second derivative with respect to the prediction."""
        doubt = 0.5 * (1 - np.tanh(self.signs * predicted / 2))
        return -self.signs * doubt, doubt * (1 - doubt)


@dataclass(frozen=True)
class Probed:
    """The probe of one target at one place.

    ``scores`` (rows, c) are held out; ``standing`` is each score's middle rank (0 to 1) among those
    that its fold's model gives to all rows, since models of different folds differ in level.
    ``weights`` (c, d) and ``bias`` (c,) are of all rows, for states as they are; ``of_folds`` has
    the weights (k, c, d) without each fold; ``pattern`` (c, d) is the covariance of states and
    target.
    """

    scores: Array
    standing: Array
    weights: Array
    bias: Array
    of_folds: Array
    pattern: Array
    strength: int


@dataclass(frozen=True)
class Scaled:
    """States in the units of the penalty: centred, each dimension of the same size, a row with a
    mean squared length of 1. The units know all rows, but no label."""

    rows: Array
    mean: Array
    sizes: Array

    @classmethod
    def of(cls, states: Array) -> Scaled:
        """Scale states (n, d); a dimension that does not vary becomes 0."""
        mean = states.mean(axis=0)
        rows = states - mean
        squares = np.mean(rows**2, axis=0)
        varies = squares > 1e-12 * max(float(squares.max(initial=0)), 1e-300)
        sizes = np.sqrt(np.where(varies, squares * max(np.count_nonzero(varies), 1), np.inf))
        rows /= sizes
        return cls(rows, mean, sizes)

    def random_directions(self, seed: int) -> Array:
        """Draw directions (RANDOM, d), for states as they are, with the covariance of the
        states."""
        draws = np.random.default_rng(seed).normal(size=(len(self.rows), RANDOM))
        sizes = np.where(np.isfinite(self.sizes), self.sizes, 0)
        return np.asarray((self.rows.T @ draws).T / np.sqrt(len(self.rows)) * sizes)


def columns_of(target: Target) -> Array:
    """Return a target as columns (rows, c): a number, or 1 for the higher class or for each."""
    if not target.classes:
        return target.values[:, None]
    of = range(len(target.classes)) if len(target.classes) > 2 else (1,)
    return np.column_stack([(target.values == code).astype(np.float64) for code in of])


def fit_probes(
    scaled: Scaled, targets: Sequence[Target], fold: Array, grid: Sequence[float]
) -> list[Probed]:
    """Fit and hold out every target on the same rows: ``fold`` (rows,) counts from 0."""
    columns = [columns_of(target) for target in targets]
    ends = np.cumsum([part.shape[1] for part in columns])
    families = tuple(slice(int(e) - p.shape[1], int(e)) for e, p in zip(ends, columns, strict=True))
    every, strengths = np.hstack(columns), np.array(sorted(set(grid), reverse=True))
    spread = np.maximum(every.std(axis=0), 1e-300)  # so that the Gram of any target is of order 1
    rows, folds = scaled.rows, int(fold.max()) + 1
    parts = (Sums.over(rows[fold == k], every[fold == k] / spread) for k in range(folds))
    sums = FoldSums(tuple(parts), families)
    losses = sums.losses(strengths)
    # the last choice is for all rows: every loss of a fold that no fit has seen
    chosen = np.array([*losses.sum(axis=1).argmin(axis=1), losses.sum(axis=(0, 1)).argmin(axis=0)])
    fits = [sums.fit((k,), strengths, chosen[k]) for k in range(folds)]
    fits.append(sums.fit((), strengths, chosen[-1]))
    weights = np.stack([fit.weights * spread for fit in fits], axis=1)
    bias = np.stack([_bias(fit) * spread for fit in fits])
    logistic = [n for n, target in enumerate(targets) if target.classes]
    if logistic:
        _refit(rows, every, fold, strengths[chosen], [families[n] for n in logistic],
               logistic, weights, bias)  # fmt: skip
    pattern = rows.T @ (every - every.mean(axis=0)) / len(rows)
    return [_probed(scaled, weights[..., f], bias[:, f], pattern[:, f], fold, int(chosen[-1, n]))
            for n, f in enumerate(families)]  # fmt: skip


def _bias(fit: Ridge) -> Array:
    return np.asarray(fit.y - fit.z @ fit.weights)


def _refit(
    rows: Array,
    every: Array,
    fold: Array,
    strengths: Array,
    families: Sequence[slice],
    numbers: Sequence[int],
    weights: Array,
    bias: Array,
) -> None:
    """Replace the ridge fits of classes by logistic ones, all folds and classes at once.

    Near even odds the curvature of the logistic loss is a quarter of that of the squared one: a
    quarter of its strength is the same penalty, and four times its weights are a good start.
    """
    wider = Rows(np.column_stack([rows, np.full(len(rows), CONSTANT)]))
    fits = weights.shape[1]
    kept = np.column_stack([*(fold != k for k in range(fits - 1)), np.ones(len(fold), bool)])
    shares = kept / kept.sum(axis=0)
    for family, number in zip(families, numbers, strict=True):
        signs = 2 * every[:, family] - 1
        classes = signs.shape[1]
        start = np.concatenate([4 * weights[..., family], 4 * bias[None, :, family] / CONSTANT])
        start[-1] -= 2 / CONSTANT  # an indicator's one half is even odds
        found = minimise(
            wider,
            Labels(np.tile(signs, fits)),
            np.zeros(len(rows)),
            np.repeat(shares, classes, axis=1),
            np.repeat(strengths[:, number] / 4, classes),
            start.reshape(len(start), -1),
            ENOUGH,
        )
        whole = found.reshape(len(start), fits, classes)
        weights[..., family], bias[:, family] = whole[:-1], CONSTANT * whole[-1]


def _probed(
    scaled: Scaled, weights: Array, bias: Array, pattern: Array, fold: Array, strength: int
) -> Probed:
    """Hold out: each row gets the score of the model that has not seen its fold."""
    folds = weights.shape[1] - 1
    scores, standing = np.empty((2, len(fold), weights.shape[2]))
    for k in range(folds):
        held = fold == k
        given = scaled.rows @ weights[:, k] + bias[k]
        scores[held] = given[held]
        for column in range(given.shape[1]):
            order = np.sort(given[:, column])
            ends = [np.searchsorted(order, given[held, column], side) for side in ("left", "right")]
            standing[held, column] = (ends[0] + ends[1]) / (2 * len(order))
    raw = np.moveaxis(weights, 0, 2) / scaled.sizes
    sizes = np.where(np.isfinite(scaled.sizes), scaled.sizes, 0)
    return Probed(
        scores, standing, raw[-1], bias[-1] - raw[-1] @ scaled.mean, raw[:-1],
        pattern.T * sizes, strength,
    )  # fmt: skip
