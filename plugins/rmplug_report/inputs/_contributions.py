"""Contributions of each attribute to the scores of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Features, Pairs

Floats = npt.NDArray[np.float64]

CHOSEN, REJECTED, WEIGHT = "chosen.contribution.", "rejected.contribution.", "weight."
MOST_NUMBERS = 1_500_000
"""Numbers of contributions that the page holds at most."""


@dataclass(frozen=True)
class PairContributions:
    """Contributions by attribute, aligned to the rows of the pairs; NaN where there is none."""

    name: str
    attributes: Sequence[str]
    chosen: Sequence[Floats]
    rejected: Sequence[Floats]
    weights: Sequence[Floats]


def contributions(features: Sequence[Features], pairs: Pairs | None) -> PairContributions | None:
    """Return the contributions of the first features that have any."""
    if pairs is None:
        return None
    for one in features:
        names = [name.removeprefix(CHOSEN) for name in one.values if name.startswith(CHOSEN)]
        both = [name for name in names if f"{REJECTED}{name}" in one.values]
        if not both:
            continue
        rows = pc.index_in(pairs["id"], value_set=one.table["id"])
        weights = [f"{WEIGHT}{name}" for name in both]
        weighed = all(name in one.values and _has_numbers(one, name) for name in weights)
        return PairContributions(
            one.name,
            both,
            [_taken(one, CHOSEN + name, rows) for name in both],
            [_taken(one, REJECTED + name, rows) for name in both],
            [_taken(one, name, rows) for name in weights] if weighed else [],
        )
    return None


def _has_numbers(features: Features, column: str) -> bool:
    """Check whether a model has such weights at all: one without has NaN for every row."""
    finite = pc.is_finite(features.table[column].cast(pa.float64()))
    return bool(pc.any(finite).as_py())


def _taken(features: Features, column: str, rows: pa.ChunkedArray) -> Floats:
    taken = features.table[column].take(rows)
    return np.asarray(taken.cast(pa.float64()).to_numpy(), dtype=np.float64)


def shown_rows(contributions: PairContributions, rows: int) -> int:
    """Return the number of first pairs whose contributions fit into the page."""
    each = len(contributions.attributes) * (3 if contributions.weights else 2)
    return min(rows, MOST_NUMBERS // max(each, 1))
