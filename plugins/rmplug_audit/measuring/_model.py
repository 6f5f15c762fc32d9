"""One model on a counterfactual table: its scores, differences and unit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._counterfactual_arrays import Counterfactuals, Floats, Mask
from ._scores import Scores
from ._tested import Tested
from ._units import Sums, Unit, sums_of, unit_of


@dataclass(frozen=True)
class MeasuredModel:
    """The scores of a model, and what is computed of them."""

    table: Counterfactuals
    scores: Scores

    @property
    def name(self) -> str:
        return self.scores.model

    @cached_property
    def unit(self) -> Unit:
        return unit_of(self.table, self.scores.values, self.name)

    @cached_property
    def original(self) -> Floats:
        """The scores of the originals, shape (originals,)."""
        return self.table.of_originals(self.scores.values)

    @cached_property
    def changed(self) -> Floats:
        """The scores of the copies, shape (changes, originals)."""
        return self.table.of_copies(self.scores.values)

    @cached_property
    def differences(self) -> Floats:
        """The scores of the copies less those of their originals; NaN where there is none."""
        return self.unit.rounded(self.changed - self.original)

    def effect(self, change: int, part: Mask) -> Tested:
        """Test the mean difference that a change makes to the originals in a part."""
        difference = self.differences[change]
        rows = part & np.isfinite(difference)
        columns = {"difference": difference[rows]}
        return self.unit.tested(columns, rows, lambda sums: sums["difference"] / sums["rows"])

    def slope(self, changes: list[int]) -> Tested:
        """Test the mean change of the reward per unit of dose, by least squares within originals;
        an original is its own copy at dose 0."""
        doses = np.array([self.table.changes[c].dose for c in changes], dtype=np.float64)
        y = self.differences[changes]
        has = np.isfinite(y)
        x = np.where(has, doses[:, None], 0.0)
        y = np.where(has, y, 0.0)
        count = has.sum(axis=0) + 1
        products = (x * y).sum(axis=0) - x.sum(axis=0) * y.sum(axis=0) / count
        squares = (x * x).sum(axis=0) - x.sum(axis=0) ** 2 / count
        rows = np.asarray(has.any(axis=0))
        columns = {"products": products[rows], "squares": squares[rows]}
        return self.unit.tested(columns, rows, lambda sums: sums["products"] / sums["squares"])

    @cached_property
    def _by_length(self) -> Sums:
        """Sums over prompt groups of the regression of the reward on log length within prompts."""
        lengths, _ = self.table.log_lengths
        has = np.isfinite(self.original)
        choice = np.unique(self.table.choice[has], return_inverse=True)[1]
        count = np.bincount(choice)
        x, y = (v[has] - (np.bincount(choice, v[has]) / count)[choice]
                for v in (lengths, self.original))  # fmt: skip
        return sums_of(self.table, {"xy": x * y, "xx": x * x}, has)

    def length_alone(self, change: int, part: Mask) -> float:
        """Compute the effect, in units, that is expected of the change of length alone; NaN where
        the originals do not tell what length does within prompts."""
        lengths, changed = self.table.log_lengths
        rows = part & np.isfinite(self.differences[change])
        squares = self._by_length["xx"].sum()
        if not rows.any() or not squares > 0:
            return float("nan")
        slope = self._by_length["xy"].sum() / squares
        return float(slope * (changed[change] - lengths)[rows].mean() / self.unit.value)

    def beyond_length(self, change: int, part: Mask) -> Tested | None:
        """Test the effect less that of its length alone; None where that is not known."""
        lengths, changed = self.table.log_lengths
        rows = part & np.isfinite(self.differences[change])
        if not self._by_length["xx"].sum() > 0:
            return None
        columns = {
            "difference": self.differences[change][rows],
            "longer": (changed[change] - lengths)[rows],
        }

        def beyond(sums: Sums) -> Floats:
            slope = sums["xy"] / sums["xx"]
            return np.asarray((sums["difference"] - slope * sums["longer"]) / sums["rows"])

        return self.unit.tested(columns, rows, beyond, self._by_length)
