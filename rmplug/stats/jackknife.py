"""The jackknife over groups: intervals of functions of sums that need no resampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from rmplug.arrays import Array

from .estimates import Estimate
from .intervals import Scale

if TYPE_CHECKING:
    from collections.abc import Callable

OfSums: TypeAlias = "Callable[[Mapping[str, Array]], Array]"
"""A function of the sums of columns, for one set of sums or for many at once."""


def jackknife(sums: Mapping[str, Array], statistic: OfSums, scale: Scale = "plain") -> Estimate:
    """Estimate a statistic of sums, such as a ratio, with the influence of each group.

    ``sums`` have one number for each group, shape (groups,); the influence is what leaving the
    group out takes away (Efron and Stein, 1981, The Annals of Statistics 9), so that ratios of
    quantities with heavy tails have intervals that are rarely too narrow. ``Estimate.interval``
    takes the groups as ``numpy.arange(groups)``."""
    import numpy as np

    totals = {name: np.asarray(values.sum()) for name, values in sums.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(totals))
        without = statistic({name: totals[name] - values for name, values in sums.items()})
        centre = without.sum() / len(without) if len(without) else 0.0
        influence = (len(without) - 1) * (centre - without)
    return Estimate(value, influence, scale)
