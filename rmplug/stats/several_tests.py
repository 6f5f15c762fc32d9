"""p-values and intervals of several tests at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from .intervals import t_quantile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]

Dependence: TypeAlias = Literal["positive", "any"]
"""How tests depend on each other: not in a way that makes false findings come together with fewer
true ones, or in any way."""
LEVEL = 0.05
SEVERAL_DRAWS = 2000
INFINITELY_MANY = 1e9


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


def widening_for_all(influences: Floats, seed: int | Sequence[int]) -> float:
    """Return the factor by which 95 % intervals of several numbers are to be widened so that all of
    them together hold their truths in 95 %, at least 1.

    ``influences`` is that of each group of rows on each number, shape (groups, numbers). It is the
    95 % quantile of the largest of their standardised sums with random normal weights (Chernozhukov,
    Chetverikov and Kato, 2013, The Annals of Statistics 41) over that of one: numbers that go up
    and down together cost less than Bonferroni's correction."""  # noqa: E501
    import numpy as np

    spread = np.sqrt((influences**2).sum(axis=0))
    standard = influences[:, spread > 0] / spread[spread > 0]
    if standard.shape[1] < 2:
        return 1.0
    rng = np.random.default_rng(seed)
    largest = np.zeros(SEVERAL_DRAWS)
    step = max(1, 1_000_000 // max(len(standard), 1))
    for start in range(0, SEVERAL_DRAWS, step):
        weights = rng.standard_normal((min(step, SEVERAL_DRAWS - start), len(standard)))
        largest[start:start + len(weights)] = np.abs(weights @ standard).max(axis=1)  # fmt: skip
    return max(1.0, float(np.quantile(largest, 1 - LEVEL)) / t_quantile(INFINITELY_MANY))
