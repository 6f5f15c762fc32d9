"""Clusters of rows that are joined two by two (union-find)."""

from __future__ import annotations

import numpy as np

from ._shingles import Ints


class Clusters:
    """Rows in clusters, each named by its first row."""

    def __init__(self, rows: int) -> None:
        self._parent = np.arange(rows)

    def first(self, row: int) -> int:
        """Return the first row of the cluster."""
        parent = self._parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    def join(self, one: int, other: int) -> None:
        """Make one cluster of those of two rows."""
        low, high = sorted((self.first(one), self.first(other)))
        self._parent[high] = low

    def labels(self) -> Ints:
        """Return the first row of each row's cluster."""
        made = self._parent
        while True:
            above = made[made]
            if np.array_equal(above, made):
                return made
            made = above
