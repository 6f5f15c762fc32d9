"""Rows by prompt: means and deviations, and permutations that keep that structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rmplug_tabular._feature_matrix import Examples

FEWEST_ALIKE = 10
"""Prompts with as many rows as fewer others than this are permuted together with other rare
numbers of rows."""


@dataclass(frozen=True)
class Prompts:
    """The group of each row, counted from 0 in the order of the rows: rows of a group stand
    together."""

    of: np.ndarray

    @cached_property
    def starts(self) -> np.ndarray:
        return np.flatnonzero(np.diff(self.of, prepend=-1))

    @cached_property
    def sizes(self) -> np.ndarray:
        """Rows of each group, shape (groups,)."""
        return np.bincount(self.of)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return the mean over the rows of each group, shape (groups, …)."""
        sums = np.add.reduceat(values, self.starts, axis=0)
        sizes = self.sizes if values.ndim == 1 else self.sizes[:, None]
        return np.asarray(sums / sizes)

    def deviations(self, values: np.ndarray) -> np.ndarray:
        """Return each row less the mean of its group, shape (rows, …)."""
        return np.asarray(values - self.means(values)[self.of])


def by_prompt(examples: Examples) -> tuple[np.ndarray, Prompts]:
    """Return the order of rows that puts those of a group together, and the groups in it."""
    order = np.argsort(examples.groups, kind="stable")
    _, of = np.unique(examples.groups[order], return_inverse=True)
    return order, Prompts(of)


@dataclass(frozen=True)
class Shuffler:
    """Random permutations of a target that break its relation to features and keep its structure:
    whole prompts change places with prompts of as many rows, and rows change places inside their
    prompt. Means and deviations are permuted apart, so that prompts of any size take part."""

    prompts: Prompts
    seed: int

    @cached_property
    def _strata(self) -> list[np.ndarray]:
        """The groups that may change places: those of one size, rare sizes together."""
        sizes = self.prompts.sizes
        often = [size for size, count in enumerate(np.bincount(sizes)) if count >= FEWEST_ALIKE]
        strata = [np.flatnonzero(sizes == size) for size in often]
        rare = np.flatnonzero(~np.isin(sizes, often))
        return [*strata, rare] if len(rare) else strata

    def orders(self, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield ``count`` permutations: of groups, and of rows inside their groups. The same ones
        at every call."""
        rng = np.random.default_rng([self.seed, 17])
        of = self.prompts.of
        for _ in range(count):
            groups = np.arange(len(self.prompts.sizes))
            for stratum in self._strata:
                groups[stratum] = rng.permutation(stratum)
            yield groups, np.argsort(of + rng.random(len(of)), kind="stable")

    def permuted(self, target: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return permuted means (groups, count) and permuted deviations (rows, count)."""
        mean = self.prompts.means(target)
        apart = target - mean[self.prompts.of]
        means = np.empty((len(mean), count))
        deviations = np.empty((len(apart), count))
        for at, (groups, rows) in enumerate(self.orders(count)):
            means[:, at], deviations[:, at] = mean[groups], apart[rows]
        return means, deviations
