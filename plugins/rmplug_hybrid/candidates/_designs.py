"""Designs of candidates: the pairs that each buys a human label for, drawn again from a few
numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from rmplug import DataError
from rmplug.arrays import Array

FRAME = 3
"""The columns that tilts are uncorrelated with: a constant, the budget, and its square."""
CONSTANT = 1e-10
"""Directions with this share of the largest variance do not vary: bins that add up to one."""
BLOCK = 1 << 23
"""Numbers of a block of candidates (pairs times candidates) that are worked on at once."""
SAMPLED = 1
"""Separates the draw of training rows from that of the set, which has the same seed."""


@dataclass(frozen=True)
class SetDesign:
    """The number of sets, the way they are drawn, and their numbers of labels."""

    n: int
    name: str
    budgets: tuple[float, ...]
    between: tuple[float, float]
    strength: float
    original: bool


@dataclass(frozen=True)
class SetDraws:
    """The parameters of a set of pairs for each of n candidates: a seed, a number of labels, and,
    where not all pairs are equally likely, a tilt for each feature (n, features)."""

    fill: bool
    seeds: Array
    budgets: Array
    tilts: Array | None = None

    def __len__(self) -> int:
        return len(self.seeds)


def count_labels(budget: float, pairs: int) -> int:
    """Turn a budget into a number of labels: a share up to 1, rounded down, or a whole number."""
    count = int(np.floor(round(budget * pairs, 9))) if budget <= 1 else int(budget)
    if count > pairs:
        raise DataError(f"a budget of {count} labels is more than the {pairs} pairs there are")
    return count


def spread_budgets(n: int, between: Sequence[float], pairs: int, rng: np.random.Generator) -> Array:
    """Spread n budgets evenly, all different where there are so many whole numbers; shuffled."""
    low, high = (count_labels(limit, pairs) for limit in between)
    spread = low + (np.arange(n) + 0.5) / n * (high - low)
    return rng.permutation(np.clip(np.ceil(spread), min(1, pairs), pairs).astype(np.int64))


def draw_budgets(n: int, pairs: int, rng: np.random.Generator) -> Array:
    """Draw n different budgets, each as likely as any other."""
    if n > pairs:
        raise DataError(
            f"{pairs} pairs have no {n} different budgets; make fewer candidates, or give budgets"
        )
    return rng.choice(pairs, size=n, replace=False) + 1


def repeat_budgets(n: int, budgets: Sequence[float], pairs: int) -> Array:
    """Repeat the budgets in turn, n of them."""
    counts = np.array([count_labels(budget, pairs) for budget in budgets], dtype=np.int64)
    return np.resize(counts, n)


def make_focused_tilts(n: int, members: Any, rng: np.random.Generator) -> Array:
    """Tilt one feature per candidate, in turn; over its candidates, the share of labels that pairs
    with the feature are expected to get (while they last) is spread evenly from 0 to 1."""
    pairs, features = members.shape
    sums = np.asarray(members.sum(axis=0, dtype=np.int64)).ravel()
    usable = rng.permutation(np.flatnonzero((sums > 0) & (sums < pairs)))
    tilts = np.zeros((n, features))
    for first, feature in enumerate(usable[:n]):
        rows = rng.permutation(np.arange(first, n, len(usable)))
        share = (np.arange(len(rows)) + 0.5) / len(rows)
        odds = sums[feature] / (pairs - sums[feature])
        tilts[rows, feature] = np.log(share / (1 - share)) - np.log(odds)
    return tilts


def make_spread_tilts(
    members: Any, budgets: Array, strength: float, rng: np.random.Generator
) -> Array:
    """Tilt all features at once, such that every direction in which pairs differ moves their
    weights equally far, and all together by a standard deviation of ``strength`` in logs."""
    scores = draw_even_scores(budgets, members.shape[1], rng)
    values, vectors = np.linalg.eigh(compute_covariance(members))
    varying = values > CONSTANT * max(values[-1], 0.0)
    whitened = vectors[:, varying] / np.sqrt(values[varying]) @ vectors[:, varying].T
    return np.asarray(scores @ whitened * strength / np.sqrt(max(int(varying.sum()), 1)))


def compute_covariance(members: Any) -> Array:
    """Compute the covariance of the features over pairs, shape (features, features)."""
    pairs = members.shape[0]
    wide = members.astype(np.float64)
    means = np.asarray(wide.sum(axis=0)).ravel() / pairs
    return np.asarray((wide.T @ wide).toarray() / pairs - np.outer(means, means))


def draw_even_scores(budgets: Array, features: int, rng: np.random.Generator) -> Array:
    """Draw a Latin hypercube of normal scores (n, features), made uncorrelated with the rank of the
    budget, its square and, with enough candidates, each other."""
    n = len(budgets)
    strata = np.argsort(rng.random((features, n)), axis=1).T
    scores = np.asarray(ndtri((strata + rng.random((n, features))) / n))
    size = (rankdata(budgets) - 0.5) / n - 0.5
    if n <= FRAME:
        return scores
    frame = np.linalg.qr(np.column_stack([np.ones(n), size, size**2]))[0]
    scores -= frame @ (frame.T @ scores)
    if n >= features + FRAME:
        turned, triangle = np.linalg.qr(scores)
        scores = turned * np.sign(np.diag(triangle)) * np.sqrt(n)
    return np.asarray(scores)


class Subsets:
    """The sets themselves, drawn anew whenever they are asked for.

    A weighted set takes the pairs with the smallest of exponential times, whose rates are
    exp(sum of the tilts of a pair's features): drawing without replacement, all at once
    (Efraimidis and Spirakis, 2006).
    """

    def __init__(self, members: Any, draws: SetDraws) -> None:
        self.draws = draws
        self.pairs = members.shape[0]
        self._members = members.astype(np.float32) if draws.tilts is not None else None
        self._lists = _list_rows(members) if draws.fill else []

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """Draw block after block: where it starts, and its sets, booleans (candidates, pairs)."""
        size = max(1, BLOCK // max(self.pairs, 1))
        for start in range(0, len(self.draws), size):
            yield start, self.read(start, min(start + size, len(self.draws)))

    def read(self, start: int, stop: int) -> Array:
        """Draw the sets of some candidates, the same whichever others are read with them."""
        if self._members is not None:
            assert self.draws.tilts is not None
            tilts = np.ascontiguousarray(self.draws.tilts[start:stop].T, dtype=np.float32)
            scores = np.ascontiguousarray((self._members @ tilts).T)
        sets = np.empty((stop - start, self.pairs), dtype=bool)
        for row in range(stop - start):
            rng = np.random.default_rng(int(self.draws.seeds[start + row]))
            budget = int(self.draws.budgets[start + row])
            if self.draws.fill:
                sets[row] = self._filled(budget, rng)
            else:
                times = rng.standard_exponential(self.pairs, dtype=np.float32)
                if self._members is not None:
                    with np.errstate(divide="ignore"):
                        np.log(times, out=times)
                    times -= scores[row]
                sets[row] = mark_smallest(times, budget)
        return sets

    def _filled(self, budget: int, rng: np.random.Generator) -> Array:
        """Take whole features in random order, the last one in part."""
        taken, room = np.zeros(self.pairs, dtype=bool), budget
        for feature in rng.permutation(len(self._lists)):
            if room <= 0:
                break
            new = self._lists[feature]
            new = new[~taken[new]]
            if len(new) > room:
                new = rng.choice(new, size=room, replace=False, shuffle=False)
            taken[new] = True
            room -= len(new)
        return taken


def _list_rows(members: Any) -> list[Array]:
    """List the rows that have each feature."""
    columns = members.tocsc()
    columns.sort_indices()
    return np.split(columns.indices, columns.indptr[1:-1])


def mark_smallest(keys: Array, count: int) -> Array:
    """Mark the ``count`` smallest keys; of equal ones, those that come first."""
    if count <= 0 or count >= len(keys):
        return np.full(len(keys), count > 0)
    limit = np.partition(keys, count - 1)[count - 1]
    inside: Array = keys <= limit
    surplus = int(np.count_nonzero(inside)) - count
    if surplus:
        inside[np.flatnonzero(keys == limit)[-surplus:]] = False
    return inside


def sample_rows(kept: Array, rows: int, seed: int) -> Array:
    """Sample at most ``rows`` of the rows that are kept, each as likely as any other."""
    if int(np.count_nonzero(kept)) <= rows:
        return kept
    times = np.random.default_rng((seed, SAMPLED)).random(len(kept), dtype=np.float32)
    return mark_smallest(np.where(kept, times, np.float32(np.inf)), rows)
