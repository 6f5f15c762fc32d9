"""Attribute rewards of states, by the heads of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from rmplug import DataError, Predictor
from rmplug.arrays import Array
from rmplug.errors import some

from ._heads_file import Heads, read_about, read_heads
from ._states import matrix_of


class HeadsPredictor(Predictor):
    """The reward of each attribute, by its name, for states in a column of the joined features."""

    def __init__(self, heads: Heads, column: str) -> None:
        self.heads, self.column = heads, column

    def predict(self, features: pa.Table) -> Mapping[str, Array]:
        width = self.heads.weight.shape[1]
        vectors = {
            f.name: f.type.list_size for f in features.schema if pa.types.is_fixed_size_list(f.type)
        }
        named = [n for n in vectors if self.column in (n, n.partition(".")[2])]
        [name, *more] = named or list(vectors) or [""]
        if more or vectors.get(name) != width:
            raise DataError(
                f"the heads read one column {self.column!r} of {width} numbers; given: "
                f"{some([f'{n} of {size}' for n, size in vectors.items()], 12) or 'no vector'}"
            )
        column = features[name].combine_chunks()
        rewards = self.heads.rewards(matrix_of(column, width, name))
        return {attribute: rewards[:, k] for k, attribute in enumerate(self.heads.names)}


def open_heads(directory: Path) -> HeadsPredictor:
    """Open the fit written to a directory."""
    return HeadsPredictor(read_heads(directory), str(read_about(directory).get("state", "")))
