"""Changes of rewards in units of the model's own standard deviation within prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rmplug import notice
from rmplug.stats.estimates import Estimate
from rmplug.stats.jackknife import jackknife

from ._counterfactual_arrays import Counterfactuals, Floats, Mask
from ._tested import Tested, deviation_of, p_of, with_unseen

Sums = Mapping[str, Floats]
Ratio = Callable[[Sums], Floats]
FEWEST = 10
"""The prompts with several responses from which on these alone give the unit."""
ROUNDING = 1e-6
"""Differences of less than so many units are rounding."""


@dataclass(frozen=True)
class Unit:
    """The standard deviation of a model's scores of originals, as sums over prompt groups."""

    table: Counterfactuals
    sums: Sums
    between: bool
    """Over all originals, where too few prompts have several responses to take it within."""

    @classmethod
    def of_scores(cls, table: Counterfactuals, scores: Floats) -> Unit:
        """Make the unit of the scores of all rows."""
        values = table.of_originals(scores)
        has = np.isfinite(values)
        choice = np.unique(table.choice[has], return_inverse=True)[1]
        score, count = values[has], np.bincount(choice)
        if (count > 1).sum() >= min(FEWEST, max(len(count), 1)):
            centred = _centred(score, (np.bincount(choice, score) / count)[choice])
            columns = {"unit": centred * 0, "unit²": centred**2, "unit n": 1 - 1 / count[choice]}
            return cls(table, sums_of(table, columns, has), False)
        centred = _centred(score, np.full(len(score), score.mean() if len(score) else 0.0))
        columns = {"unit": centred, "unit²": centred**2, "unit n": np.ones(len(score))}
        return cls(table, sums_of(table, columns, has), True)

    def of(self, sums: Sums) -> Floats:
        """Compute the unit, in those of the reward, from sums."""
        n = sums["unit n"]
        if not self.between:
            return np.sqrt(sums["unit²"] / n)
        return np.sqrt(np.maximum(sums["unit²"] - sums["unit"] ** 2 / n, 0) / (n - 1))

    def some(self, sums: Sums) -> Floats:
        """Compute the unit, NaN where it is 0."""
        size = self.of(sums)
        return np.where(size > 0, size, np.nan)

    @cached_property
    def estimate(self) -> Estimate:
        return jackknife(self.sums, self.of, "positive")

    @property
    def value(self) -> float:
        """The unit in those of the reward; NaN where the scores do not vary."""
        size = self.estimate.value
        return size if size > 0 else float("nan")

    def rounded(self, differences: Floats) -> Floats:
        """Return differences with those that are rounding set to 0."""
        unit = self.value
        small = np.abs(differences) < ROUNDING * unit if np.isfinite(unit) else differences == 0
        return np.where(small, 0.0, differences)

    def tested(self, columns: Sums, rows: Mask, ratio: Ratio, beside: Sums | None = None) -> Tested:
        """Give a ratio of sums in units, and test whether it is 0.

        ``columns`` have a number for each of these originals, and the first is 0 where nothing
        changed; ``beside`` are other sums over all groups that the ratio needs. The test leaves the
        error of the unit out: where the ratio is 0, no unit changes that."""
        own = sums_of(self.table, {**columns, "rows": np.ones(int(rows.sum()))}, rows)
        held, moved = own["rows"] > 0, int(np.count_nonzero(own[next(iter(columns))]))
        own |= beside or {}
        estimate = jackknife({**self.sums, **own}, lambda sums: ratio(sums) / self.some(sums))
        inside = jackknife({name: column[held] for name, column in own.items()}, ratio)
        several = int(held.sum())
        error = deviation_of(inside.influence) if several > 1 else float("nan")
        p = p_of(inside.value, error, several, moved)
        error /= self.value
        estimate, error = with_unseen(estimate, error, several, moved)
        return Tested(estimate, several, int(rows.sum()), error, p)


def _centred(score: Floats, means: Floats) -> Floats:
    """Return scores less their means; 0 for all where only rounding is left."""
    centred = score - means
    tiny = np.abs(centred).max(initial=0) <= 1e-12 * np.abs(score).max(initial=0)
    return np.zeros(len(score)) if tiny else centred


def sums_of(table: Counterfactuals, columns: Sums, rows: Mask) -> dict[str, Floats]:
    """Sum columns, with a number for each of these originals, over each prompt group."""
    groups, size = table.group[rows], table.groups
    return {n: np.asarray(np.bincount(groups, c, size), np.float64) for n, c in columns.items()}


def unit_of(table: Counterfactuals, scores: Floats, model: str) -> Unit:
    """Return the unit of a model's scores, with a notice where it is not what it should be."""
    unit = Unit.of_scores(table, scores)
    if unit.between:
        what = (
            "too few prompts have several originals with a score: effects are in units of the "
            "deviation between prompts"
        )
        notice(what, [model], of="models")
    if not np.isfinite(unit.value):
        what = "the same score for all originals of a prompt: effects have no unit"
        notice(what, [model], of="models")
    return unit
