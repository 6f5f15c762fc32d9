"""Intervals of statistics that are functions of sums, where there are groups to draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rmplug.intervals import bounds, resampled_sums

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Sums: TypeAlias = Mapping[str, Floats]
Statistics: TypeAlias = Callable[[Sums], Mapping[str, Floats]]
Bounds: TypeAlias = tuple[float | None, float | None]


def intervals(
    columns: Sums, groups: Ints, statistics: Statistics, resamples: int, seed: list[int]
) -> dict[str, Bounds]:
    """95 % bounds of each statistic; none where there are fewer than two groups."""
    if not (groups != groups[:1]).any():
        return {}
    found = statistics(resampled_sums(columns, groups, resamples, seed))
    return {name: bounds(values) for name, values in found.items()}
