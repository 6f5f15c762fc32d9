"""Where a target varies: between prompts, or within them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from rmplug.stats.metric_rows import Scaled, Statistic, measured

from ._structure import Prompts

Sums: TypeAlias = Mapping[str, np.ndarray]


def variance_numbers(target: np.ndarray, prompts: Prompts, seed: int) -> list[dict[str, Any]]:
    """Return the share of the sum of squares that lies between prompts, and within them; and the
    intraclass correlation, which does not count chance differences of a prompt's few rows as
    differences between prompts (analysis of variance, groups of unequal size)."""
    target = target - target.mean()
    sizes, means = prompts.sizes.astype(float), prompts.means(target)
    columns = {
        "rows": sizes,
        "rows²": sizes**2,
        "y": sizes * means,
        "y²": np.add.reduceat(target**2, prompts.starts),
        "mean²": sizes * means**2,
    }
    statistics: dict[str, Statistic] = {
        "variance-between": Scaled(_between, "share"),
        "variance-within": Scaled(lambda sums: 1 - _between(sums), "share"),
        "intraclass-correlation": _intraclass,
    }
    rows = measured(columns, statistics, np.arange(len(sizes)), seed)
    return [{**row, "n": len(target)} for row in rows]


def _between(sums: Sums) -> np.ndarray:
    total = sums["y²"] - sums["y"] ** 2 / sums["rows"]
    return np.asarray((sums["mean²"] - sums["y"] ** 2 / sums["rows"]) / _positive(total))


def _intraclass(sums: Sums) -> np.ndarray:
    groups, rows = sums["n"], sums["rows"]
    between = (sums["mean²"] - sums["y"] ** 2 / rows) / _positive(groups - 1)
    within = (sums["y²"] - sums["mean²"]) / _positive(rows - groups)
    size = (rows - sums["rows²"] / rows) / _positive(groups - 1)
    apart = (between - within) / _positive(size)
    return np.asarray(apart / _positive(apart + within))


def _positive(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(values, 1e-300))
