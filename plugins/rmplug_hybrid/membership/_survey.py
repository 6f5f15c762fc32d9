"""A survey of whole columns, needed before they are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features
from rmplug.arrays import Array
from rmplug.errors import some

from ._columns import Bin, BinnedMeasure, Flag
from ._matrix import read_numbers


@dataclass
class ColumnSurvey:
    """The facts about a whole column that cutting it needs: its range, its values where it is
    ranked, and the ids that lack one."""

    low: float = np.inf
    high: float = -np.inf
    values: list[Array] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def survey_columns(
    joined: Features, measures: Sequence[BinnedMeasure], flags: Sequence[Flag]
) -> dict[str, ColumnSurvey]:
    """Read all columns once, a batch at a time."""
    columns = [*(measure.column for measure in measures), *(flag.column for flag in flags)]
    surveys = {column: ColumnSurvey() for column in columns}
    for batch in joined.batches():
        _survey_batch(batch, measures, flags, surveys)
    return surveys


def _survey_batch(
    batch: pa.RecordBatch,
    measures: Sequence[BinnedMeasure],
    flags: Sequence[Flag],
    surveys: dict[str, ColumnSurvey],
) -> None:
    """Add one batch's values to the surveys."""
    ids = batch.column("id")
    for measure in measures:
        survey, values = surveys[measure.column], read_numbers(batch.column(measure.column))
        present = values[~np.isnan(values)]
        if len(present) < len(values):
            survey.missing += ids.filter(pa.array(np.isnan(values))).to_pylist()
        if len(present):
            survey.low = min(survey.low, float(present.min()))
            survey.high = max(survey.high, float(present.max()))
        if measure.ranked:
            survey.values.append(present)
    for flag in flags:
        survey, column = surveys[flag.column], batch.column(flag.column)
        values = read_numbers(column)
        lacking = np.isnan(values)
        if lacking.any():
            survey.missing += ids.filter(pa.array(lacking)).to_pylist()
        odd = ~lacking & (values != 0) & (values != 1)
        if odd.any():
            survey.odd += ids.filter(pa.array(odd)).to_pylist()


def check_columns(
    surveys: Mapping[str, ColumnSurvey],
    measures: Sequence[BinnedMeasure],
    flags: Sequence[Flag],
    missing_is_error: bool,
) -> None:
    """Refuse a table that cannot be cut as asked."""
    for flag in flags:
        _check_flag(flag, surveys[flag.column].odd)
        _check_missing(flag.column, surveys[flag.column].missing, "")
    for measure in measures:
        survey = surveys[measure.column]
        if missing_is_error:
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


def _check_range(measure: BinnedMeasure, survey: ColumnSurvey) -> None:
    low, high = measure.edges[0], measure.edges[-1]
    if survey.low <= survey.high and (survey.high < low or survey.low > high):
        raise DataError(
            f"no value of {measure.name} is between its edges {low:g} and {high:g} (they go from "
            f"{survey.low:g} to {survey.high:g}); name it under ranks, or give its edges_of"
        )


def rank_by_percentile(values: Array) -> tuple[Array, Array]:
    """Compute the different values, ascending, and their average rank divided by their number: 0
    (excluded) to 1."""
    different, counts = np.unique(values, return_counts=True)
    ends = np.cumsum(counts)
    return different, (ends - (counts - 1) / 2) / max(len(values), 1)


def cut_by_rank(measure: BinnedMeasure, survey: ColumnSurvey) -> BinnedMeasure:
    """Compute the same bins with limits that are values: those of the lowest and the highest rank
    inside. Rows can then be cut one by one."""
    values, ranks = rank_by_percentile(np.concatenate([np.empty(0), *survey.values]))
    survey.values.clear()
    bins = []
    for entry in measure.bins:
        inside = values[entry.has(ranks)]
        low, high = (inside[0], inside[-1]) if len(inside) else (np.inf, -np.inf)
        bins.append(Bin(entry.name, float(low), float(high)))
    return BinnedMeasure(measure.column, measure.name, measure.edges, True, tuple(bins))
