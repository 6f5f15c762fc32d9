"""Ridge weights of attributes that have fewer rows to learn from than dimensions, by the products
of these rows with each other.

``(X'X + penalty I)^-1 X'y`` is ``X'(XX' + penalty I)^-1 y``, whose matrix is the smaller one where
rows are few, and is made in float64. Source: Saunders, Gammerman and Vovk 1998, Ridge regression
learning algorithm in dual variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rmplug.arrays import Array

from ._gram import distinct
from ._labels import AttributeLabels
from ._ridge_path import ridge_path
from ._states import StateBatches


@dataclass(frozen=True)
class FewRows:
    """The states of the rows that such attributes are learnt from."""

    alike: list[tuple[list[int], Array]]
    """Attributes that are labelled in the same rows, with the positions of these in ``rows``."""
    rows: Array
    """The indices of the rows of all, in order."""
    states: Array
    """Shape (rows, width), in the order of ``rows``."""

    @classmethod
    def empty(cls, source: StateBatches, labels: AttributeLabels, learnt: Array) -> FewRows:
        """Find the attributes with few rows among ``learnt`` (n,), and make room for states that
        take no more memory than a packed Gram matrix for each of them."""
        known = labels.labelled & learnt[:, None]
        most = source.width if source.single else source.width // 2
        few = np.flatnonzero(known.sum(axis=0) <= most)
        rows = np.flatnonzero(known[:, few].any(axis=1))
        masks, members = distinct(known[np.ix_(rows, few)])
        alike = [
            (few[own].tolist(), np.flatnonzero(mask))
            for own, mask in zip(members, masks.T, strict=True)
        ]
        kind = np.float32 if source.single else np.float64
        return cls(alike, rows, np.empty((len(rows), source.width), kind))

    @property
    def attributes(self) -> set[int]:
        return {k for attributes, _ in self.alike for k in attributes}

    def others(self, count: int) -> list[int]:
        """List those of so many attributes that have more rows."""
        return sorted(set(range(count)) - self.attributes)

    def put(self, start: int, states: Array) -> bool:
        """Keep what is needed of the states from row ``start`` on; returns whether all of it are
        finite numbers."""
        low, high = np.searchsorted(self.rows, [start, start + len(states)])
        kept = self.states[low:high]
        kept[:] = states[self.rows[low:high] - start]
        return bool(np.isfinite(kept).all())

    def products(self, positions: Array, centred: bool) -> RowProducts:
        """Multiply the states at some positions, less their mean if they are centred."""
        states = self.states[positions].astype(np.float64)
        mean = states.mean(axis=0) if centred else np.zeros(states.shape[1])
        states -= mean
        return RowProducts(centred, mean, states, states @ states.T)


@dataclass(frozen=True)
class RowProducts:
    """States (rows, width) in float64, less ``mean`` (width,) where they are ``centred``, and
    their products with each other (rows, rows)."""

    centred: bool
    mean: Array
    states: Array
    products: Array

    def within(self, own: Array) -> Array:
        """Return the products of the rows ``own``, less the mean state of these if they are
        centred."""
        gram = self.products
        if len(own) < len(gram):  # all rows have a mean of zero already
            gram = gram[np.ix_(own, own)]
            if self.centred:
                means = gram.mean(axis=0)
                gram -= means + (means - means.mean())[:, None]
        return gram

    def multiply(self, columns: Array) -> Array:
        """Multiply columns (rows, c) by the states and their transpose."""
        return np.asarray(self.states @ (self.states.T @ columns))

    def path(
        self, own: Array, gram: Array, targets: Array, penalties: Sequence[float]
    ) -> tuple[Array, Array]:
        """Solve for targets (m, c), centred as the states are, of the rows ``own`` with their
        products; returns weights (penalties, width, c) and the mean state of these rows."""
        whole = len(own) == len(self.products)  # else weights only measure how good a strength is
        solved = ridge_path(gram, targets, penalties, self.multiply if whole else None)
        solved = solved.transpose(1, 0, 2)
        columns = np.zeros((len(self.states), len(penalties) * targets.shape[1] + 1))
        columns[own, :-1] = solved.reshape(len(own), -1)
        columns[own, -1] = 1 / len(own)
        found = self.states.T @ columns
        weights = found[:, :-1].reshape(-1, len(penalties), targets.shape[1]).transpose(1, 0, 2)
        return weights, found[:, -1] + self.mean
