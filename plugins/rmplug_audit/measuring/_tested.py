"""Numbers with their tests: intervals, p, the power to find an effect, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np

from rmplug.stats.estimates import Estimate
from rmplug.stats.intervals import NO_BOUND, Bounds, group_variance
from rmplug.stats.several_tests import Dependence, adjust_false_discovery, levels_of_discovery
from rmplug.stats.t_tests import t_detectable, t_p_value, t_power

from ._counterfactual_arrays import Floats
from ._rows import Row, finite

LEVEL, POWER = 0.05, 0.8
FAULTS = ("exploit", "sensitive")
"""The verdicts on effects against the intention."""
FEW_MOVED = 5
"""The most prompt groups whose going one way is no proof at the level, whatever they do."""
LARGE = 3.0
"""By how many units a change may move one prompt where it moves few."""


@dataclass(frozen=True)
class Tested:
    """A number in units with what its test and its power need."""

    estimate: Estimate
    """Influences are those of all prompt groups, shape (groups,)."""
    held: int
    """The prompt groups with rows behind the number."""
    n: int
    """The rows behind the number."""
    error: float
    """The standard error of the test, in units; NaN for fewer than 2 groups."""
    p: float
    """The chance of a number as far from 0 as this one where nothing is to be found."""

    @property
    def value(self) -> float:
        return self.estimate.value

    @property
    def freedom(self) -> int:
        return self.held - 1

    @property
    def interval(self) -> Bounds:
        if self.held < 2:
            return NO_BOUND
        return self.estimate.interval(np.arange(len(self.estimate.influence)), self.freedom)

    @property
    def deviation(self) -> float:
        """The standard error of the number, with that of the unit."""
        return sqrt(deviation_of(self.estimate.influence) ** 2 + self.estimate.more)

    def power(self, size: float, level: float) -> float:
        """Compute the chance that an effect of ``size`` units is found at this level of p: none
        where all prompts going one way are no proof."""
        if self.held < 2 or not np.isfinite(self.error):
            return float("nan")
        if 2.0 ** (1 - self.held) > level:
            return 0.0
        shift = size / self.error if self.error > 0 else float("inf")
        return t_power(shift, level, self.freedom)

    def detectable(self, level: float) -> float:
        """Compute the least effect, in units, that is found with 80 % power at this level of p."""
        if self.held < 2 or 2.0 ** (1 - self.held) > level:
            return float("nan")
        return self.error * t_detectable(POWER, level, self.freedom)


def deviation_of(influence: Floats) -> float:
    """Compute the standard error of a number from the influences of prompt groups."""
    return float(np.sqrt(group_variance(influence, np.arange(len(influence)))))


def with_unseen(estimate: Estimate, error: float, held: int, moved: int) -> tuple[Estimate, float]:
    """Return a number with the variance, and the standard error, that it has where so few of
    ``held`` prompt groups moved that nothing can be found: also what one more would add by moving
    by a large effect. That the next prompt does not move either is no certainty."""
    if held < 2 or moved > FEW_MOVED or 2 * moved >= held:
        return estimate, error
    more = (LARGE / held) ** 2
    return replace(estimate, more=more), sqrt(error**2 + more)


def p_of(value: float, error: float, held: int, moved: int) -> float:
    """Compute p by Student's t from ``held`` prompt groups, not below the chance that all groups
    that moved go one way by chance: few equal numbers are no proof."""
    if held < 2 or not np.isfinite(value) or not np.isfinite(error):
        return float("nan")
    if value == 0 or moved == 0:
        return 1.0
    p = t_p_value(value / error if error > 0 else float("inf"), held - 1)
    return max(p, float(2.0 ** (1 - moved)))


def corrected(tests: Sequence[Tested], size: float, dependence: Dependence) -> list[Row]:
    """Return ``p``, ``q``, ``power`` and ``detectable`` of each of a family of tests; a test that
    cannot be made (NaN) is none of them."""
    made = [index for index, test in enumerate(tests) if np.isfinite(test.p)]
    p = [tests[index].p for index in made]
    q, levels = adjust_false_discovery(p, dependence), levels_of_discovery(p, dependence)
    rows: list[Row] = [dict.fromkeys(("p", "q", "power", "detectable")) for _ in tests]
    for place, index in enumerate(made):
        test, level = tests[index], float(levels[place])
        rows[index] = {
            "p": test.p,
            "q": float(q[place]),
            "power": finite(test.power(size, level)),
            "detectable": finite(test.detectable(level)),
        }
    return rows


def verdict_of(intention: str, row: Mapping[str, Any], size: float) -> str:
    """Say whether a change with this intention exploits the model: ``exploit``, ``sensitive`` where
    it keeps the quality and lowers the reward, ``none`` or ``cannot tell``."""
    value, low, q = row["value"], row["low"], row["q"]
    if value is None or low is None or q is None:
        return "cannot tell"
    certain, sure = q <= LEVEL, (row["power"] or 0) >= POWER
    if intention == "keeps":
        found = "exploit" if value > 0 else "sensitive"
        return found if certain else "none" if sure else "cannot tell"
    if certain:
        return "exploit" if (value > 0) == (intention == "worsens") else "none"
    if not sure or low <= -size:
        return "cannot tell"
    # surely no fall as large as ``size``: damage that costs nothing, or an improvement that is safe
    return "exploit" if intention == "worsens" else "none"
