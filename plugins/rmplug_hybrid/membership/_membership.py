"""Which rows have which features: columns of booleans, and the same as a sparse matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, join, notice
from rmplug.errors import did_you_mean, some
from rmplug_hybrid.names.feature_names import LENGTHS, all_features, bin_names

from .membership import Membership

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Bin:
    """A feature: the values of a column between two limits, each with whether it belongs."""

    name: str
    low: float
    high: float
    holds_low: bool = True
    holds_high: bool = True

    def has(self, values: Array) -> Array:
        """Whether each value is inside; a missing one is not."""
        above = values >= self.low if self.holds_low else values > self.low
        below = values <= self.high if self.holds_high else values < self.high
        inside: Array = above & below
        return inside


@dataclass(frozen=True)
class Measure:
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


@dataclass
class Survey:
    """What must be known of a whole column before it is cut: its range, which values it has where
    it is ranked, and which ids lack one."""

    low: float = np.inf
    high: float = -np.inf
    values: list[Array] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def members(features: Sequence[Features], step: Membership) -> Features:
    """The features of a step, row-wise once the whole table has been looked at."""
    joined = join(features)
    measures, flags = _plan(joined, step)
    surveys = {
        column: Survey() for column in [*(m.column for m in measures), *(f.column for f in flags)]
    }
    for batch in joined.batches():
        _look(batch, measures, flags, surveys)
    _check(surveys, measures, flags, step)
    ranked = tuple(_by_rank(m, surveys[m.column]) if m.ranked else m for m in measures)
    made = [feature.name for measure in ranked for feature in measure.bins]
    made += [flag.name for flag in flags]
    order = tuple(_original(made) if step.give == "original" else made)
    return joined.map(Cut(ranked, tuple(flags), order))


def _plan(joined: Features, step: Membership) -> tuple[list[Measure], list[Flag]]:
    """What becomes of each column of the joined features."""
    schema = joined.rows.schema
    names = _names(joined, step)
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
            measures.append(_measure(column, name, step))
    made = [f.name for m in measures for f in m.bins] + [flag.name for flag in flags]
    twice = [name for name, count in Counter(made).items() if count > 1]
    if twice:
        raise DataError(f"two columns would become the feature {twice[0]!r}; rename one: names")
    unused = step.edges_of.keys() - {measure.name for measure in measures}
    if unused:
        raise DataError(
            f"edges_of names {min(unused)!r}, which is no measure here"
            + did_you_mean(min(unused), (measure.name for measure in measures))
        )
    _check_ranks([measure.name for measure in measures], step)
    return measures, flags


def _check_ranks(names: Sequence[str], step: Membership) -> None:
    """Each pattern that was written means some measure."""
    for pattern in step.ranks:
        if pattern not in LENGTHS and not any(fnmatchcase(name, pattern) for name in names):
            raise DataError(
                f"ranks has {pattern!r}, which matches no measure; there are {some(names, 12)}"
            )


def _names(joined: Features, step: Membership) -> dict[str, str]:
    """The columns to use, and what they are called: without their step where that is enough."""
    for pattern in step.only:
        if not any(fnmatchcase(column, pattern) for column in joined.values):
            raise DataError(f"no column matches {pattern!r}; there are {some(joined.values, 12)}")
    chosen = [c for c in joined.values if any(fnmatchcase(c, p) for p in step.only)]
    unknown = [column for column in step.names if column not in chosen]
    if unknown:
        raise DataError(
            f"names has {unknown[0]!r}, which is no column{did_you_mean(unknown[0], chosen)}; "
            f"there are {some(chosen, 12)}"
        )
    short = {column: column.partition(".")[2] for column in chosen}
    count = Counter(short[column] for column in chosen if column not in step.names)
    return {
        column: step.names.get(column) or (short[column] if count[short[column]] == 1 else column)
        for column in chosen
    }


def _measure(column: str, name: str, step: Membership) -> Measure:
    edges = tuple(map(float, step.edges_of.get(name, step.edges)))
    last = len(edges) - 2
    bins = tuple(
        Bin(
            feature,
            edges[place],
            edges[place + 1],
            holds_low=step.bins != "open",
            holds_high=step.bins == "closed" or (step.bins == "half-open" and place == last),
        )
        for place, feature in enumerate(bin_names(name, edges))
    )
    ranked = any(fnmatchcase(name, pattern) for pattern in step.ranks)
    return Measure(column, name, edges, ranked, bins)


def _look(
    batch: pa.RecordBatch,
    measures: Sequence[Measure],
    flags: Sequence[Flag],
    surveys: dict[str, Survey],
) -> None:
    """Take note of one batch's values."""
    ids = batch.column("id")
    for measure in measures:
        survey, values = surveys[measure.column], numbers(batch.column(measure.column))
        known = values[~np.isnan(values)]
        if len(known) < len(values):
            survey.missing += ids.filter(pa.array(np.isnan(values))).to_pylist()
        if len(known):
            survey.low = min(survey.low, float(known.min()))
            survey.high = max(survey.high, float(known.max()))
        if measure.ranked:
            survey.values.append(known)
    for flag in flags:
        survey, column = surveys[flag.column], batch.column(flag.column)
        values = numbers(column)
        lacking = np.isnan(values)
        if lacking.any():
            survey.missing += ids.filter(pa.array(lacking)).to_pylist()
        odd = ~lacking & (values != 0) & (values != 1)
        if odd.any():
            survey.odd += ids.filter(pa.array(odd)).to_pylist()


def numbers(column: pa.Array | pa.ChunkedArray) -> Array:
    """Float64 values; what is missing is NaN."""
    filled = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.float64)


def _check(
    surveys: dict[str, Survey],
    measures: Sequence[Measure],
    flags: Sequence[Flag],
    step: Membership,
) -> None:
    """Refuse a table that cannot be cut as asked."""
    for flag in flags:
        _check_flag(flag, surveys[flag.column].odd)
        _check_missing(flag.column, surveys[flag.column].missing, "")
    for measure in measures:
        survey = surveys[measure.column]
        if step.missing == "error":
            _check_missing(measure.column, survey.missing, ", or set missing: no-bin")
        if not measure.ranked:
            _check_range(measure, survey)


def _check_flag(flag: Flag, odd: Sequence[str]) -> None:
    if odd:
        raise DataError(
            f"{flag.column} is passed on as it is, and {len(odd)} rows have other values than 0 "
            f"and 1 ({some(odd)}); rename it with names to cut it into bins"
        )


def _check_missing(column: str, ids: Sequence[str], mend: str) -> None:
    if ids:
        raise DataError(
            f"{column} is missing for {len(ids)} rows ({some(ids)}); give it a value, drop the "
            f"rows{mend}"
        )


def _check_range(measure: Measure, survey: Survey) -> None:
    low, high = measure.edges[0], measure.edges[-1]
    if survey.low <= survey.high and (survey.high < low or survey.low > high):
        raise DataError(
            f"no value of {measure.name} is between its edges {low:g} and {high:g} (they go from "
            f"{survey.low:g} to {survey.high:g}); name it under ranks, or give its edges_of"
        )


def percentile_ranks(values: Array) -> tuple[Array, Array]:
    """The different values, ascending, and their average rank divided by how many values there
    are: 0 (excluded) to 1."""
    different, counts = np.unique(values, return_counts=True)
    ends = np.cumsum(counts)
    return different, (ends - (counts - 1) / 2) / max(len(values), 1)


def _by_rank(measure: Measure, survey: Survey) -> Measure:
    """The same bins with limits that are values: those of the lowest and the highest rank inside.
    Rows can then be cut one by one."""
    values, ranks = percentile_ranks(np.concatenate([np.empty(0), *survey.values]))
    survey.values.clear()
    bins = []
    for entry in measure.bins:
        inside = values[entry.has(ranks)]
        low, high = (inside[0], inside[-1]) if len(inside) else (np.inf, -np.inf)
        bins.append(Bin(entry.name, float(low), float(high)))
    return Measure(measure.column, measure.name, measure.edges, True, tuple(bins))


def _original(made: Sequence[str]) -> list[str]:
    """The 90 names in their order, all of which must have been made."""
    wanted = all_features()
    lacking = [name for name in wanted if name not in set(made)]
    if lacking:
        raise DataError(
            f"give: original needs {len(wanted)} features, and {len(lacking)} of them are made by "
            f"no input (first: {lacking[0]}); add the step that gives it, or map a column: names"
        )
    return wanted


@dataclass(frozen=True)
class Cut:
    """Row-wise: which features each row has, as columns of booleans in a fixed order."""

    measures: tuple[Measure, ...]
    flags: tuple[Flag, ...]
    order: tuple[str, ...]

    def __call__(self, batch: pa.RecordBatch) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for measure in self.measures:
            values = numbers(batch.column(measure.column))
            inside = {feature.name: feature.has(values) for feature in measure.bins}
            self._tell(measure, values, np.any(list(inside.values()), axis=0), batch.column("id"))
            found |= inside
        for flag in self.flags:
            found[flag.name] = numbers(batch.column(flag.column)) == 1
        return {name: found[name] for name in self.order}

    def _tell(self, measure: Measure, values: Array, inside: Array, ids: pa.Array) -> None:
        if inside.all():
            return
        lacking = np.isnan(values)
        notice(f"{measure.name} missing: in no bin", ids.filter(pa.array(lacking)).to_pylist())
        outside = ids.filter(pa.array(~inside & ~lacking)).to_pylist()
        notice(f"{measure.name} in no bin: outside the edges, or on one", outside)


def matrix(features: Features) -> tuple[list[str], Any]:
    """The names of 0/1 features and a sparse matrix (rows, features) of them, a batch at a time.

    The matrix is a ``scipy.sparse.csr_matrix`` of uint8: sum it with a wider type.
    """
    from scipy import sparse

    names = features.values
    blocks = [_block(batch, names, features.name) for batch in features.batches()]
    empty = sparse.csr_matrix((0, len(names)), dtype=np.uint8)
    return names, sparse.vstack([empty, *blocks], format="csr", dtype=np.uint8)


def _block(batch: pa.RecordBatch, names: Sequence[str], step: str) -> Any:
    from scipy import sparse

    places = [_rows_with(batch.column(name), name, step, batch) for name in names]
    rows = np.concatenate([np.empty(0, np.int32), *places])
    columns = np.repeat(np.arange(len(names), dtype=np.int32), [len(one) for one in places])
    ones = np.ones(len(rows), dtype=np.uint8)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(batch.num_rows, len(names)))


def _rows_with(column: pa.Array, name: str, step: str, batch: pa.RecordBatch) -> Array:
    if pa.types.is_boolean(column.type) and not column.null_count:
        return np.flatnonzero(column.to_numpy(zero_copy_only=False)).astype(np.int32)
    values = None if pa.types.is_fixed_size_list(column.type) else numbers(column)
    odd = [0] if values is None else np.flatnonzero((values != 0) & (values != 1))
    if values is None or len(odd):
        where = "" if values is None else f" ({batch.column('id')[int(odd[0])]})"
        raise DataError(
            f"{step}.{name} has values other than 0 and 1{where}; cut it into bins first, with the "
            "step membership"
        )
    return np.flatnonzero(values).astype(np.int32)
