"""The strength of a penalty, chosen by cross-validation over folds that keep groups whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rmplug.arrays import Array

from .metric_rows import number


@dataclass(frozen=True)
class StrengthSearch:
    """The held-out predictions at each strength that was tried, and their losses."""

    grid: tuple[float, ...]
    """The strengths to try, in order; the first ones of them were tried."""
    fold: Array
    """The fold of each row, from 0 on, shape (rows,)."""
    predictions: Array
    """The prediction of each row by what was trained without its fold, shape (strengths tried,
    rows, …)."""
    mean_losses: Array
    """The mean loss over the rows of each fold, shape (strengths tried, folds)."""
    fold_weights: Array
    """The weight of each fold in the mean over all rows, in any unit, shape (folds,)."""

    def best(self, without: int | None = None) -> int:
        """Return the index of the strength with the least loss over all folds, or over all but
        one."""
        weights = self.fold_weights.copy()
        if without is not None:
            weights[without] = 0
        return int((self.mean_losses @ weights).argmin())

    @property
    def strength(self) -> float:
        """The strength with the least loss."""
        return self.grid[self.best()]

    def held_out(self) -> Array:
        """Return the prediction of each row with the strength that is best on the other folds,
        shape (rows, …): neither the training nor the choice of the strength has seen the row."""
        import numpy as np

        best = np.array([self.best(without=fold) for fold in range(len(self.fold_weights))])
        return np.asarray(self.predictions[best[self.fold], np.arange(len(self.fold))])

    def numbers(self, subset: str = "all") -> list[dict[str, Any]]:
        """Return rows of metrics: ``l2``, the strength, and ``l2-at-edge``, 1 if it is the first
        or the last of several, so that a wider grid may hold a better one."""
        edge = len(self.grid) > 1 and self.strength in (self.grid[0], self.grid[-1])
        rows = len(self.fold)
        return [
            number("l2", self.strength, rows, subset=subset),
            number("l2-at-edge", float(edge), rows, subset=subset),
        ]
