"""Measures of the text of a response beside its attribute rewards: its length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.data.messages import count_characters
from rmplug.errors import some

from ._transform_file import Transform
from .text_measures import CHARACTERS


def measure_texts(texts: pa.Array | pa.ChunkedArray, measures: Sequence[str]) -> Array:
    """Compute the measures (n, C) of responses: each is the length in characters."""
    return np.repeat(count_characters(texts)[:, None], len(measures), axis=1)


def order_transform(transform: Transform, names: tuple[str, ...]) -> Transform:
    """Put the transform into the order of ``names``, followed by its measures. Raises DataError
    where it lacks an attribute, or has a measure that cannot be taken of a text."""
    missing = [name for name in names if name not in transform.names]
    measures = tuple(name for name in transform.names if name not in names)
    unknown = [name for name in measures if not name.endswith(CHARACTERS)]
    if missing or unknown:
        raise DataError(
            f"the debiasing is of {some(transform.names)}, the heads are of {some(names)}; debias "
            "the rewards of the same heads, against attributes or the length of the response "
            "(…characters): no other measure can be taken of a text that is scored"
        )
    order = [*names, *measures]
    at = [transform.names.index(name) for name in order]
    return Transform(tuple(order), np.asarray(transform.matrix[np.ix_(at, at)]))
