"""The features of each row, as columns of booleans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features, join, notice
from rmplug.arrays import Array
from rmplug_hybrid.names.feature_names import list_features

from ._columns import BinnedMeasure, BinningRules, Flag, plan_columns
from ._matrix import read_numbers
from ._survey import check_columns, cut_by_rank, survey_columns


def compute_membership(
    features: Sequence[Features], rules: BinningRules, missing_is_error: bool, original: bool
) -> Features:
    """Cut columns into features row by row, after one pass over the whole table."""
    joined = join(features)
    measures, flags = plan_columns(joined, rules)
    surveys = survey_columns(joined, measures, flags)
    check_columns(surveys, measures, flags, missing_is_error)
    ranked = tuple(cut_by_rank(m, surveys[m.column]) if m.ranked else m for m in measures)
    made = [feature.name for measure in ranked for feature in measure.bins]
    made += [flag.name for flag in flags]
    order = tuple(_original_order(made) if original else made)
    return joined.map(Binning(ranked, tuple(flags), order))


def _original_order(made: Sequence[str]) -> list[str]:
    """List the 90 names in their order, all of which must have been made."""
    wanted = list_features()
    lacking = [name for name in wanted if name not in set(made)]
    if lacking:
        raise DataError(
            f"give: original needs {len(wanted)} features, and {len(lacking)} of them are made by "
            f"no input (first: {lacking[0]}); add the step that gives it, or map a column: names"
        )
    return wanted


@dataclass(frozen=True)
class Binning:
    """A row-wise computation of features as columns of booleans in a fixed order."""

    measures: tuple[BinnedMeasure, ...]
    flags: tuple[Flag, ...]
    order: tuple[str, ...]

    def __call__(self, batch: pa.RecordBatch) -> dict[str, Any]:
        features: dict[str, Any] = {}
        for measure in self.measures:
            values = read_numbers(batch.column(measure.column))
            inside = {bin_.name: bin_.has(values) for bin_ in measure.bins}
            self._tell(measure, values, np.any(list(inside.values()), axis=0), batch.column("id"))
            features |= inside
        for flag in self.flags:
            features[flag.name] = read_numbers(batch.column(flag.column)) == 1
        return {name: features[name] for name in self.order}

    def _tell(self, measure: BinnedMeasure, values: Array, inside: Array, ids: pa.Array) -> None:
        if inside.all():
            return
        lacking = np.isnan(values)
        notice(f"{measure.name} missing: in no bin", ids.filter(pa.array(lacking)).to_pylist())
        outside = ids.filter(pa.array(~inside & ~lacking)).to_pylist()
        notice(f"{measure.name} in no bin: outside the edges, or on one", outside)
