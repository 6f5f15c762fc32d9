"""p-values and intervals of several tests at once."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]

Dependence: TypeAlias = Literal["positive", "any"]
"""How tests depend on each other: not in a way that makes false findings come together with fewer
true ones, or in any way."""
LEVEL = 0.05
SEVERAL_DRAWS = 2000
CHANCE_LIKENESS = 10
"""The variance that is drawn for each number alone, times the square of the groups less one: what
40 independent numbers of 6 groups need, and next to none from 40 groups on, as measured by
``benchmarks/audit_effects.py``."""


def adjust_holm(p: Sequence[float] | Floats) -> Floats:
    """Correct p-values for their number by Holm's step-down rule (1979, Scandinavian Journal of
    Statistics 6): the chance of any false one among them stays below the level. In their order."""
    import numpy as np

    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(np.arange(len(values), 0, -1) * values[order])
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def adjust_false_discovery(
    p: Sequence[float] | Floats, dependence: Dependence = "positive"
) -> Floats:
    """Correct p-values so that of those below a level, the expected share of false ones is at most
    that level. In their order.

    ``positive`` is the step-up rule of Benjamini and Hochberg (1995, JRSS B 57), which holds for
    independent tests and for those that depend positively on each true null hypothesis (Benjamini
    and Yekutieli, 2001, The Annals of Statistics 29). ``any`` is the rule of the latter, which
    holds however they depend, and asks for p-values smaller by 1 + 1/2 + ... + 1/tests."""
    import numpy as np

    values = np.asarray(p, dtype=np.float64)
    count = len(values)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * count * _price(count, dependence) / np.arange(1, count + 1)
    corrected = np.empty(count)
    corrected[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return corrected


def levels_of_discovery(
    p: Sequence[float] | Floats, dependence: Dependence = "positive", level: float = LEVEL
) -> Floats:
    """Return, for each test, the p-value up to which ``adjust_false_discovery`` finds it among the
    others as they are: what its power depends on. In their order."""
    import numpy as np

    values = np.asarray(p, dtype=np.float64)
    count = len(values)
    steps = level * np.arange(1, count + 1) / (count * _price(count, dependence))
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    levels = np.empty(count)
    for rank, place in enumerate(order):
        # as if this one had a p of 0: those of lower rank move up by one
        as_first = np.concatenate([[0.0], ordered[:rank], ordered[rank + 1 :]])
        levels[place] = steps[np.flatnonzero(as_first <= steps)[-1]]
    return levels


def _price(count: int, dependence: Dependence) -> float:
    return 1.0 if dependence == "positive" else sum(1 / k for k in range(1, count + 1))


def level_for_all(influences: Floats, seed: int | Sequence[int]) -> float:
    """Return the level, at most .05, of intervals of several numbers so that all of them together
    hold their truths in 95 %: each is as wide as Student's t at this level and its own degrees of
    freedom says.

    ``influences`` is that of each group of rows on each number, shape (groups, numbers). The level
    is the chance of a normal number beyond the 95 % quantile of the largest of their standardised
    sums with random normal weights (Chernozhukov, Chetverikov and Kato, 2013, The Annals of
    Statistics 41): numbers that go up and down together cost less than Bonferroni's correction.
    Few groups make any numbers look alike, the fewer the more, so that much of what is drawn is
    drawn for each number alone, in their order; where that is all, the correction is
    Bonferroni's."""
    import numpy as np

    spread = np.sqrt((influences**2).sum(axis=0))
    standard = influences[:, spread > 0] / spread[spread > 0]
    count = standard.shape[1]
    if count < 2:
        return LEVEL
    held = int(np.count_nonzero(np.abs(standard).max(axis=1) > 1e-9))
    alone = min(1.0, CHANCE_LIKENESS / max(held - 1, 1) ** 2)
    rng = np.random.default_rng(seed)
    largest = np.zeros(SEVERAL_DRAWS)
    step = max(1, 1_000_000 // max(len(standard), 1))
    for start in range(0, SEVERAL_DRAWS, step):
        drawn = min(step, SEVERAL_DRAWS - start)
        together = rng.standard_normal((drawn, len(standard))) @ standard
        own = rng.standard_normal((drawn, count))
        sums = np.sqrt(1 - alone) * together + np.sqrt(alone) * own
        largest[start : start + drawn] = np.abs(sums).max(axis=1)
    beyond = 2 * NormalDist().cdf(-float(np.quantile(largest, 1 - LEVEL)))
    return float(min(LEVEL, max(beyond, LEVEL / count)))
