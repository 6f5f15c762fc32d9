"""95 % intervals that respect groups: rows of one prompt stay together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from rmplug.stats.bootstrap import bounds, row_weights
from rmplug.stats.metric_rows import number

Statistic: TypeAlias = Callable[[np.ndarray], float]
"""A number of the data in which row ``i`` counts ``weights[i]`` times."""

REPLICATES = 500
MANY_ROWS = 100_000


def measured(
    statistics: Mapping[str, Statistic], groups: np.ndarray, seed: int
) -> list[dict[str, Any]]:
    """Rows of metrics: each statistic with the interval of a bootstrap over groups."""
    replicates = REPLICATES if len(groups) < MANY_ROWS else REPLICATES // 5
    drawn = np.array(
        [
            [statistic(weights) for statistic in statistics.values()]
            for weights in row_weights(groups, replicates, seed)
        ]
    ).reshape(replicates, len(statistics))
    ones = np.ones(len(groups))
    return [
        number(name, statistic(ones), len(groups), *bounds(drawn[:, place]))
        for place, (name, statistic) in enumerate(statistics.items())
    ]
