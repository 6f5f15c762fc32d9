"""Rules that judge one item of a benchmark: outcomes per item, whose means are the figures.

A rule turns scores into columns with one number per item (NaN where the item does not count), and
says of which columns' means each figure is the sum.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError
from rmplug.errors import some

from ._definitions import Definition

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Figure:
    """A figure: its name for a subset, its name for sections and the whole, and the columns whose
    means, weighted, are summed; a cell of a matrix has a row and a column."""

    metric: str
    above: str
    parts: Mapping[str, float]
    row: str | None = None
    column: str | None = None


@dataclass(frozen=True)
class Outcomes:
    """One number per item in each column, and the figures made of them, the main one first."""

    columns: dict[str, Floats] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)

    def add(self, metric: str, above: str, values: Floats) -> None:
        """Add a figure that is the mean of one column."""
        self.columns[metric] = values
        self.figures.append(Figure(metric, above, {metric: 1.0}))

    @property
    def counted(self) -> Mask:
        """Items that the main figure counts, as a mask."""
        parts = [np.isfinite(self.columns[name]) for name in self.figures[0].parts]
        return np.asarray(np.any(parts, axis=0))


class Rule(ABC):
    """Rule of a benchmark on the rows of a data set; ``items`` is the first row of each item."""

    items: Ints
    chance: Floats
    """The share of items that a random draw gets right; NaN where it is undefined."""

    def __init__(self, data: pa.Table, definition: Definition) -> None:
        self.definition = definition

    @abstractmethod
    def outcomes(self, scores: Floats) -> Outcomes:
        """Judge scores (margins, for pairs), one per row, NaN where there is none."""


def half_for_ties(margin: Floats) -> Floats:
    """Return 1 for a positive margin, 0 for a negative one, one half for a tie, NaN without a
    margin."""
    return np.where(np.isfinite(margin), (np.sign(margin) + 1) / 2, np.nan)


class PairRule(Rule):
    """Rule of pairs: each pair is an item."""

    def __init__(self, data: pa.Table, definition: Definition) -> None:
        super().__init__(data, definition)
        self.items = np.arange(len(data))
        self.chance = np.full(len(data), 0.5)
        self.second = _chosen_second(data)
        if definition.published == "second" and self.second is None:
            raise DataError(
                f"{definition.name} needs the column 'place' (0 where the chosen response was "
                "published first, else 1), which the loader of its layout gives"
            )

    def outcomes(self, scores: Floats) -> Outcomes:
        outcomes = Outcomes()
        outcomes.add("accuracy", "score", half_for_ties(scores))
        how = self.definition.published
        if how is not None:
            outcomes.add("accuracy-published", "score-published", self._published(scores, how))
        if self.definition.rule == "two-games" and self.second is not None:
            outcomes.add("accuracy-one-game", "score-one-game", self._published(scores, "second"))
        return outcomes

    def _published(self, margin: Floats, ties: str) -> Floats:
        with np.errstate(invalid="ignore"):
            if ties == "share":
                return np.nan_to_num(half_for_ties(margin))
            if ties == "second" and self.second is not None:
                return np.where(self.second, ~(margin < 0), margin > 0).astype(np.float64)
            return (margin > 0).astype(np.float64)


def _chosen_second(data: pa.Table) -> Mask | None:
    """Return the mask of pairs whose chosen response was published in the second position."""
    if "place" not in data.column_names:
        return None
    return np.asarray(pc.fill_null(pc.equal(data["place"], 1), False)).astype(bool)


def right_responses(data: pa.Table, definition: Definition) -> Mask:
    """Return the mask of right responses (label above 0)."""
    if "label" not in data.column_names:
        raise DataError(
            f"{definition.name} needs the column 'label' (1 for a right response, 0 for a wrong "
            f"one); the data have {some(data.column_names, 12)}"
        )
    try:
        label = np.asarray(pc.cast(data["label"], pa.float64()), dtype=np.float64)
    except pa.ArrowInvalid as error:
        raise DataError(f"label must be a number, 1 for right and 0 for wrong: {error}") from error
    odd = data["id"].filter(pa.array(~np.isfinite(label))).to_pylist()
    if odd:
        raise DataError(
            f"{len(odd)} responses have no label ({some(odd)}); give them one, or filter"
        )
    return np.asarray(label > 0)
