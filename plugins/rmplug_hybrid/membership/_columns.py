"""The plan of columns: bins of a measure, or a feature as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pyarrow as pa

from rmplug import DataError, Features
from rmplug.arrays import Array
from rmplug.errors import did_you_mean, some
from rmplug_hybrid.names.feature_names import LENGTHS, name_bins


@dataclass(frozen=True)
class Bin:
    """A feature: the values of a column between two limits, each included or not."""

    name: str
    low: float
    high: float
    holds_low: bool = True
    holds_high: bool = True

    def has(self, values: Array) -> Array:
        """Mark the values inside; a missing one is not."""
        above = values >= self.low if self.holds_low else values > self.low
        below = values <= self.high if self.holds_high else values < self.high
        inside: Array = above & below
        return inside


@dataclass(frozen=True)
class BinnedMeasure:
    """A column of numbers that is cut into bins, of its values or of their percentile ranks."""

    column: str
    name: str
    edges: tuple[float, ...]
    ranked: bool
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Flag:
    """A column of 0 and 1 that is a feature as it is."""

    column: str
    name: str


@dataclass(frozen=True)
class BinningRules:
    """The columns to use, their names in features, and the limits of their bins."""

    only: tuple[str, ...]
    names: Mapping[str, str]
    edges: tuple[float, ...]
    edges_of: Mapping[str, tuple[float, ...]]
    ranks: tuple[str, ...]
    bins: str
    """``half-open``, ``closed`` or ``open``: which limits belong to a bin."""


def plan_columns(joined: Features, rules: BinningRules) -> tuple[list[BinnedMeasure], list[Flag]]:
    """Plan the features of each column of the joined features."""
    schema = joined.rows.schema
    names = _name_columns(joined, rules)
    measures, flags = [], []
    for column, name in names.items():
        kind = schema.field(column).type
        if pa.types.is_fixed_size_list(kind):
            raise DataError(
                f"{column} holds vectors, which have no bins; leave it out with only, or make "
                "numbers of it first"
            )
        if pa.types.is_boolean(kind) or "::" in name:
            flags.append(Flag(column, name))
        else:
            measures.append(_make_measure(column, name, rules))
    made = [f.name for m in measures for f in m.bins] + [flag.name for flag in flags]
    twice = [name for name, count in Counter(made).items() if count > 1]
    if twice:
        raise DataError(f"two columns would become the feature {twice[0]!r}; rename one: names")
    unused = rules.edges_of.keys() - {measure.name for measure in measures}
    if unused:
        raise DataError(
            f"edges_of names {min(unused)!r}, which is no measure here"
            + did_you_mean(min(unused), (measure.name for measure in measures))
        )
    _check_ranks([measure.name for measure in measures], rules)
    return measures, flags


def _check_ranks(names: Sequence[str], rules: BinningRules) -> None:
    """Check that each pattern that was written means some measure."""
    for pattern in rules.ranks:
        if pattern not in LENGTHS and not any(fnmatchcase(name, pattern) for name in names):
            raise DataError(
                f"ranks has {pattern!r}, which matches no measure; there are {some(names, 12)}"
            )


def _name_columns(joined: Features, rules: BinningRules) -> dict[str, str]:
    """Choose and name the columns to use: without their step where that is enough."""
    for pattern in rules.only:
        if not any(fnmatchcase(column, pattern) for column in joined.values):
            raise DataError(f"no column matches {pattern!r}; there are {some(joined.values, 12)}")
    chosen = [c for c in joined.values if any(fnmatchcase(c, p) for p in rules.only)]
    unknown = [column for column in rules.names if column not in chosen]
    if unknown:
        raise DataError(
            f"names has {unknown[0]!r}, which is no column{did_you_mean(unknown[0], chosen)}; "
            f"there are {some(chosen, 12)}"
        )
    short = {column: column.partition(".")[2] for column in chosen}
    count = Counter(short[column] for column in chosen if column not in rules.names)
    return {
        column: rules.names.get(column) or (short[column] if count[short[column]] == 1 else column)
        for column in chosen
    }


def _make_measure(column: str, name: str, rules: BinningRules) -> BinnedMeasure:
    edges = tuple(map(float, rules.edges_of.get(name, rules.edges)))
    last = len(edges) - 2
    bins = tuple(
        Bin(
            feature,
            edges[index],
            edges[index + 1],
            holds_low=rules.bins != "open",
            holds_high=rules.bins == "closed" or (rules.bins == "half-open" and index == last),
        )
        for index, feature in enumerate(name_bins(name, edges))
    )
    ranked = any(fnmatchcase(name, pattern) for pattern in rules.ranks)
    return BinnedMeasure(column, name, edges, ranked, bins)
