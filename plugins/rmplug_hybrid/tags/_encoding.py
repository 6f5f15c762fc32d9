"""Tags of one dimension, in any input form, as columns of booleans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, notice
from rmplug.arrays import Array
from rmplug_hybrid.names.dimensions import Dimension
from rmplug_hybrid.names.feature_names import name_tags


def normalise_value(text: str) -> str:
    """Fold case, and keep single spaces."""
    return " ".join(text.casefold().split())


@dataclass(frozen=True)
class Vocabulary:
    """The values of one dimension, and the matching of texts with them."""

    name: str
    dimension: Dimension
    exact: bool = False

    @property
    def columns(self) -> list[str]:
        return name_tags(self.name, self.dimension)

    def number_values(self) -> dict[str, int]:
        """Number each value of the vocabulary by its column; -1 where it has none."""
        values = enumerate(self.dimension.values)
        numbers = {self._key(value): number for number, value in values}
        return {**{self._key(value): -1 for value in self.dimension.others}, **numbers}

    def _key(self, value: str) -> str:
        return value if self.exact else normalise_value(value)

    def find(self, texts: Sequence[str]) -> Array:
        """Find the column of each text; -1 for none, -2 for an unknown text."""
        numbers = self.number_values()
        codes = [numbers.get(self._key(text), -2) for text in texts]
        return np.array(codes, dtype=np.int64)


@dataclass
class Encoded:
    """One dimension of some rows: a mask of its columns (rows, columns), the rows without any
    value, and the rows of each unknown value."""

    has: Array
    missing: Array
    unknown: dict[str, list[int]] = field(default_factory=dict)


def encode(lists: pa.ListArray, vocabulary: Vocabulary) -> Encoded:
    """Encode the tags of rows, lists of texts; a null is a missing value."""
    missing = np.asarray(lists.is_null())
    texts = pc.fill_null(lists.flatten(), "")
    counts = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
    rows = np.repeat(np.arange(len(lists)), counts)
    has = np.zeros((len(lists), len(vocabulary.columns)), dtype=bool)
    if vocabulary.dimension.form == "open-set":
        blank = np.asarray(pc.equal(pc.utf8_trim_whitespace(texts), ""))
        has[rows[~blank], 0] = True
        return Encoded(has, missing)
    coded = texts.dictionary_encode()
    different = coded.dictionary.to_pylist()
    codes = np.asarray(coded.indices, dtype=np.int64)
    column_of = vocabulary.find(different)
    columns = column_of[codes]
    has[rows[columns >= 0], columns[columns >= 0]] = True
    odd = np.flatnonzero(column_of == -2)
    unknown = {different[code]: rows[codes == code].tolist() for code in odd}
    return Encoded(has, missing, unknown)


def read_lists(column: pa.Array, name: str) -> pa.ListArray:
    """Read a column of texts, or of lists of texts, as lists; null stays null."""
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.list_(pa.string()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        offsets = pa.array(np.arange(len(column) + 1, dtype=np.int32))
        texts = column.cast(pa.string())
        return pa.ListArray.from_arrays(offsets, texts, mask=texts.is_null())
    inside = getattr(kind, "value_type", None)
    if inside is None or not (
        pa.types.is_string(inside) or pa.types.is_large_string(inside) or pa.types.is_null(inside)
    ):
        raise DataError(f"the tags in {name} are {kind}; they must be texts, or lists of texts")
    return column.cast(pa.list_(pa.string()))


def make_lists(values: Sequence[Any], ids: Sequence[str], name: str) -> pa.ListArray:
    """Make lists of plain values (text, list of texts, None)."""
    lists = [[value] if isinstance(value, str) else value for value in values]
    for value, row in zip(lists, ids, strict=True):
        if not is_tag(value):
            raise DataError(f"{name} of {row} is {value!r}; it must be a text or a list of texts")
    return pa.array(lists, type=pa.list_(pa.string()))


def is_tag(value: Any) -> bool:
    """Check whether a value can be read as tags: a text, a list of texts, or nothing."""
    if value is None or isinstance(value, str):
        return True
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def report_unknown(name: str, unknown: Mapping[str, Sequence[str]], most: int = 20) -> None:
    """Count the rows of each unknown value; beyond the most frequent ones together."""
    order = sorted(unknown, key=lambda value: (-len(unknown[value]), value))
    for rank, value in enumerate(order):
        shown = repr(value) if rank < most else "a further value"
        notice(f"{name} {shown} is in no vocabulary", unknown[value])
