"""Tags as columns of booleans, whatever they come as."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Responses, notice
from rmplug.data.raw_texts import BadRow, shown
from rmplug.data.row_files import (
    Row,
    UnreadableRow,
    data_files,
    identifier,
    json_object,
    read_rows,
)
from rmplug.errors import did_you_mean, some
from rmplug_hybrid.names.dimensions import Dimension
from rmplug_hybrid.names.feature_names import tag_names

if TYPE_CHECKING:
    from .tags import Tags

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Read: TypeAlias = Callable[[pa.RecordBatch, str], pa.ListArray]


def normalised(text: str) -> str:
    """The text without regard to case, and with single spaces."""
    return " ".join(text.casefold().split())


@dataclass(frozen=True)
class Vocabulary:
    """The values of one dimension, and how texts are found among them."""

    name: str
    dimension: Dimension
    exact: bool = False

    @property
    def columns(self) -> list[str]:
        return tag_names(self.name, self.dimension)

    def places(self) -> dict[str, int]:
        """Of each known value its column; -1 of one that has none."""
        values = enumerate(self.dimension.values)
        known = {self._key(value): place for place, value in values}
        return {**{self._key(value): -1 for value in self.dimension.others}, **known}

    def _key(self, value: str) -> str:
        return value if self.exact else normalised(value)

    def find(self, texts: Sequence[str]) -> Array:
        """The column of each text; -1 for none, -2 where it is not known."""
        known = self.places()
        found = [known.get(self._key(text), -2) for text in texts]
        return np.array(found, dtype=np.int64)


@dataclass
class Encoded:
    """One dimension of some rows: which of its columns (rows, columns) each has, the rows without
    any value, and the rows of each value that is not known."""

    has: Array
    missing: Array
    unknown: dict[str, list[int]] = field(default_factory=dict)


def encode(lists: pa.ListArray, vocabulary: Vocabulary) -> Encoded:
    """The tags of rows, given as lists of texts; a null is a missing value."""
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
    found = vocabulary.find(different)
    places = found[codes]
    has[rows[places >= 0], places[places >= 0]] = True
    odd = np.flatnonzero(found == -2)
    unknown = {different[code]: rows[codes == code].tolist() for code in odd}
    return Encoded(has, missing, unknown)


def as_lists(column: pa.Array, name: str) -> pa.ListArray:
    """A column of texts, or of lists of texts, as lists; null stays null."""
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


def tags(data: Pairs | Responses, step: Tags) -> Features:
    """The features of a step, a batch at a time."""
    return Features.stream(_batches(data, step), data.name)


def _batches(data: Pairs | Responses, step: Tags) -> Iterator[dict[str, Any]]:
    read = _reader(data, step)
    known = [Vocabulary(n, d, step.match == "exact") for n, d in step.vocabulary().items()]
    tallies = {vocabulary.name: Tally() for vocabulary in known}
    for batch in data.batches() if len(data) else [_no_rows(data)]:
        keys = [name for name in ("id", "group") if name in batch.schema.names]
        columns = {name: batch.column(name) for name in keys}
        ids = batch.column("id")
        for vocabulary in known:
            encoded = encode(read(batch, vocabulary.name), vocabulary)
            tallies[vocabulary.name].add(encoded, ids)
            columns |= dict(zip(vocabulary.columns, encoded.has.T, strict=True))
        yield columns
    for name, tally in tallies.items():
        tally.tell(name, step, len(data))


def _no_rows(data: Pairs | Responses) -> pa.RecordBatch:
    schema = data.rows.schema
    return pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)


@dataclass
class Tally:
    """What is odd about one dimension, over the whole table."""

    missing: list[str] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)

    def add(self, encoded: Encoded, ids: pa.Array) -> None:
        self.missing += ids.filter(pa.array(encoded.missing)).to_pylist()
        for value, rows in encoded.unknown.items():
            self.unknown.setdefault(value, []).extend(ids.take(pa.array(rows)).to_pylist())

    def tell(self, name: str, step: Tags, total: int) -> None:
        """Refuse or count, as the step says."""
        if self.missing and step.missing == "error":
            raise DataError(
                f"{len(self.missing)} of {total} rows have no {name} ({some(self.missing)}); tag "
                "them, drop them, or set missing: none"
            )
        if self.unknown and step.unknown == "error":
            value, ids = next(iter(self.unknown.items()))
            raise DataError(
                f"{len(self.unknown)} values of {name} are in no vocabulary: {value!r} of "
                f"{some(ids)}{did_you_mean(value, step.vocabulary()[name].values)}; add them to "
                "values or others of the dimension, or set unknown: count"
            )
        notice(f"no {name}: given no tag of it", self.missing)
        tell_unknown(name, self.unknown)


def tell_unknown(name: str, unknown: Mapping[str, Sequence[str]], most: int = 20) -> None:
    """Count the rows of each value that is not known; beyond the most frequent ones together."""
    order = sorted(unknown, key=lambda value: (-len(unknown[value]), value))
    for place, value in enumerate(order):
        shown = repr(value) if place < most else "a further value"
        notice(f"{name} {shown} is in no vocabulary", unknown[value])


def _reader(data: Pairs | Responses, step: Tags) -> Read:
    """How the lists of a dimension are read for a batch of the data."""
    if step.path is not None:
        return FileTags(read_tag_rows(step.path, step.id_field), step)
    wanted = _sources(step)
    columns = [step.column] if step.column is not None else list(wanted.values())
    lacking = [name for name in columns if name not in data.columns]
    if lacking:
        raise DataError(
            f"{data.name} has no column {lacking[0]!r}{did_you_mean(lacking[0], data.columns)}; it "
            f"has {some(data.columns, 20)}; name the column (column, columns_of), or the "
            "dimensions that there are (only)"
        )
    if step.column is None:
        return lambda batch, name: as_lists(batch.column(wanted[name]), wanted[name])
    holder = step.column
    return lambda batch, name: _inside(batch, holder, wanted[name])


def _sources(step: Tags) -> dict[str, str]:
    """The column or field of each dimension."""
    return {name: step.columns_of.get(name, name) for name in step.vocabulary()}


def _inside(batch: pa.RecordBatch, holder: str, name: str) -> pa.ListArray:
    """One entry of a column that holds all dimensions, as a structure or as JSON."""
    column = batch.column(holder)
    if pa.types.is_struct(column.type):
        if column.type.get_field_index(name) < 0:
            known = [column.type.field(n).name for n in range(column.type.num_fields)]
            raise DataError(f"{holder} has no entry {name!r}; it has {some(known, 20)}")
        return as_lists(pc.struct_field(column, name), f"{holder}.{name}")
    if not pa.types.is_string(column.type):
        raise DataError(f"{holder} is {column.type}; it must be a structure, or text with JSON")
    ids = batch.column("id").to_pylist()
    found = zip(column.to_pylist(), ids, strict=True)
    return from_values([_of_json(text, row, holder).get(name) for text, row in found], ids, name)


def _of_json(text: str | None, row: str, holder: str) -> Mapping[str, Any]:
    try:
        return json_object(text) if text else {}
    except BadRow as error:
        raise DataError(
            f"{holder} of {row} is {error}; it must be {{dimension: value}} in JSON"
        ) from error


def from_values(values: Sequence[Any], ids: Sequence[str], name: str) -> pa.ListArray:
    """Plain values (text, list of texts, None) as lists."""
    lists = [[value] if isinstance(value, str) else value for value in values]
    for value, row in zip(lists, ids, strict=True):
        if not is_tag(value):
            raise DataError(f"{name} of {row} is {value!r}; it must be a text or a list of texts")
    return pa.array(lists, type=pa.list_(pa.string()))


def is_tag(value: Any) -> bool:
    """Whether a value can be read as tags: a text, a list of texts, or nothing."""
    if value is None or isinstance(value, str):
        return True
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def read_tag_rows(path: Path, id_field: str) -> dict[str, Mapping[str, Any]]:
    """Return the rows of a file by id."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in read_rows(data_files([path])):
        name = _id_of(row, id_field)
        if name is None:
            raise DataError(
                f"{path}:{row.line} is no JSON object with the field {id_field!r}; mend the "
                "line, or name the field that holds the id: id_field"
            )
        if name in found:
            raise DataError(f"{path}:{row.line} has the id {name} a second time; keep one line")
        found[name] = row.value if isinstance(row, Row) else {}
    return found


def _id_of(row: Row | UnreadableRow, id_field: str) -> str | None:
    """Return the id of a row; None where there is none."""
    try:
        return identifier(row.value[id_field], id_field) if isinstance(row, Row) else None
    except (KeyError, BadRow):
        return None


class FileTags:
    """Reads the tags of a batch's rows from the rows of a file."""

    def __init__(self, rows: Mapping[str, Mapping[str, Any]], step: Tags) -> None:
        self.rows, self.step, self.fields = rows, step, _sources(step)

    def __call__(self, batch: pa.RecordBatch, name: str) -> pa.ListArray:
        ids = batch.column("id").to_pylist()
        wanted = self.fields[name]
        return from_values([self._tags(row).get(wanted) for row in ids], ids, name)

    def _tags(self, row: str) -> Mapping[str, Any]:
        found = self.rows.get(row, {})
        if self.step.column is None:
            return found
        inside = found.get(self.step.column)
        if isinstance(inside, str):
            return _of_json(inside, row, self.step.column)
        if inside is not None and not isinstance(inside, dict):
            raise DataError(
                f"{self.step.column} of {row} is {shown(inside)}; it must be {{dimension: value}}"
            )
        return inside or {}
