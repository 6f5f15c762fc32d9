"""Attribute rewards after a transform, as a fit predicts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Predictor
from rmplug.arrays import Array
from rmplug.errors import some

from ._transform_file import Transform, read_about, read_transform


class DebiasedRewards(Predictor):
    """The rewards after a transform, by attribute; NaN where a reward or a measure is missing."""

    def __init__(self, transform: Transform, measures: Sequence[str]) -> None:
        self.transform = transform
        self.attributes = [name for name in transform.names if name not in measures]

    def predict(self, features: pa.Table) -> Mapping[str, Array]:
        columns = [
            features[_column(features.column_names, name)].cast(pa.float64())
            for name in self.transform.names
        ]
        values = np.column_stack([pc.fill_null(c, np.nan).to_numpy() for c in columns])
        after = self.transform(values)
        return {name: after[:, k] for k, name in enumerate(self.attributes)}


def _column(columns: Sequence[str], name: str) -> str:
    """Return the joined column of an attribute or measure; its step may have another name."""
    same = [column for column in columns if column == name]
    same = same or [column for column in columns if column.partition(".")[2] == name]
    ending = name.partition(".")[2]
    same = same or [c for c in columns if ending and c.partition(".")[2] == ending]
    if len(same) != 1:
        raise DataError(
            f"the transform reads {name}, and {'several columns are' if same else 'no column is'} "
            f"that; given: {some([c for c in columns if c not in ('id', 'group')], 12)}"
        )
    return same[0]


def open_transform(directory: Path) -> DebiasedRewards:
    """Open the fit written to a directory."""
    return DebiasedRewards(read_transform(directory), read_about(directory).get("measures", []))
