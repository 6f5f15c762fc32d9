"""States as matrices: a batch at a time, of several data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features
from rmplug.arrays import Array
from rmplug.errors import some

LEAST_ROWS, MOST_ROWS, BATCH_NUMBERS = 8192, 32_768, 2**24
"""Rows at a time: as many as have so many numbers, since cells of few rows are slow to add."""
FEW_ROWS = 256
"""Rows whose mean stands for that of all, which only has to be near."""


@dataclass(frozen=True)
class StateBatches:
    """The states of several data sets, one after the other."""

    states: tuple[Features, ...]
    column: str

    @property
    def width(self) -> int:
        return int(self.states[0].rows.schema.field(self.column).type.list_size)

    @property
    def single(self) -> bool:
        """Whether all states are stored in float32 or less."""
        types = [f.rows.schema.field(self.column).type.value_type for f in self.states]
        return all(pa.types.is_floating(type) and type.bit_width <= 32 for type in types)

    def shift(self) -> Array:
        """Return about the mean state (width,), of a few rows: states less this have small sums,
        which lose few digits when the mean is taken off exactly."""
        _, states = next(self.batches(FEW_ROWS), (0, np.zeros((0, self.width))))
        first = states.astype(float)
        first = first[np.isfinite(first).all(axis=1)]
        return first.mean(axis=0) if len(first) else np.zeros(self.width)

    def batches(self, most: int = MOST_ROWS) -> Iterator[tuple[int, Array]]:
        """Read the index of the first row and the states (rows, width), a batch at a time."""
        start, rows = 0, min(most, max(LEAST_ROWS, BATCH_NUMBERS // max(self.width, 1)))
        for features in self.states:
            for batch in features.batches(rows):
                yield start, matrix_of(batch.column(self.column), self.width, features.name)
                start += len(batch)


def matrix_of(column: pa.Array, width: int, name: str) -> Array:
    """Return a column of vectors as a matrix, without a copy where possible."""
    if column.null_count or column.type.list_size != width:
        problem = "missing vectors" if column.null_count else f"vectors of {column.type.list_size}"
        raise DataError(f"{name} has {problem}; all states must be vectors of {width} numbers")
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat.reshape(len(column), width))


def state_column(states: Sequence[Features], wanted: str | None) -> str:
    """Return the name of the column of states, the same in all steps."""
    vector_columns = [f.name for f in states[0].rows.schema if pa.types.is_fixed_size_list(f.type)]
    column = wanted or ("response" if "response" in vector_columns else "".join(vector_columns[:2]))
    for features in states:
        vectors = [f.name for f in features.rows.schema if pa.types.is_fixed_size_list(f.type)]
        if column not in vectors:
            raise DataError(
                f"{features.name or 'states'} has no vector column {wanted or 'response'!r}; write "
                f"state: and one of {some(vectors, 12) or 'its vectors (there are none)'}"
            )
    return column
