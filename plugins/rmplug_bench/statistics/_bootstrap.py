"""Intervals of statistics that are functions of sums, where there are groups to draw."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rmplug.stats.bootstrap import bounds, resampled_sums, share_bounds

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Sums: TypeAlias = Mapping[str, Floats]
Statistics: TypeAlias = Callable[[Sums], Mapping[str, Floats]]
Bounds: TypeAlias = tuple[float | None, float | None]

NO_BOUND: Bounds = (None, None)


def intervals(
    columns: Sums,
    groups: Ints,
    statistics: Statistics,
    resamples: int,
    seed: list[int],
    shares: Collection[str] = (),
) -> dict[str, Bounds]:
    """95 % bounds of each statistic, shares as such; none with fewer than two groups."""
    number = len(np.unique(groups))
    if number < 2:
        return {}
    drawn = statistics(resampled_sums(columns, groups, resamples, seed))
    whole = statistics({name: column.sum() for name, column in columns.items()}) if shares else {}
    return {
        name: share_bounds(float(whole[name]), draws, number)
        if name in shares
        else bounds(draws, number)
        for name, draws in drawn.items()
    }
