"""Tags of the columns of the data, or of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

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

from ._encoding import Encoded, Vocabulary, encode, make_lists, read_lists, report_unknown

Read: TypeAlias = Callable[[pa.RecordBatch, str], pa.ListArray]


@dataclass(frozen=True)
class TagSource:
    """The location of tags: columns of the data, or fields of a file's rows."""

    path: Path | None
    id_field: str
    holder: str | None
    """The one column or field that holds all dimensions."""
    fields: Mapping[str, str]
    """The column, field or entry of each dimension."""


def compute_tags(
    data: Pairs | Responses,
    source: TagSource,
    vocabularies: Sequence[Vocabulary],
    missing_is_error: bool,
    unknown_is_error: bool,
) -> Features:
    """Compute the 0/1 columns of all vocabularies, a batch at a time."""
    tallies = [TagTally(one, missing_is_error, unknown_is_error) for one in vocabularies]
    return Features.stream(_batches(data, source, tallies), data.name)


def _batches(
    data: Pairs | Responses, source: TagSource, tallies: Sequence[TagTally]
) -> Iterator[dict[str, Any]]:
    read = _choose_reader(data, source)
    for batch in data.batches() if len(data) else [_make_empty_batch(data)]:
        keys = [name for name in ("id", "group") if name in batch.schema.names]
        columns = {name: batch.column(name) for name in keys}
        ids = batch.column("id")
        for tally in tallies:
            vocabulary = tally.vocabulary
            encoded = encode(read(batch, vocabulary.name), vocabulary)
            tally.add(encoded, ids)
            columns |= dict(zip(vocabulary.columns, encoded.has.T, strict=True))
        yield columns
    for tally in tallies:
        tally.report(len(data))


def _make_empty_batch(data: Pairs | Responses) -> pa.RecordBatch:
    schema = data.rows.schema
    return pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)


@dataclass
class TagTally:
    """The missing and unknown values of one dimension, over the whole table."""

    vocabulary: Vocabulary
    missing_is_error: bool
    unknown_is_error: bool
    missing: list[str] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)

    def add(self, encoded: Encoded, ids: pa.Array) -> None:
        self.missing += ids.filter(pa.array(encoded.missing)).to_pylist()
        for value, rows in encoded.unknown.items():
            self.unknown.setdefault(value, []).extend(ids.take(pa.array(rows)).to_pylist())

    def report(self, total: int) -> None:
        """Refuse them, or count them and name their rows."""
        name = self.vocabulary.name
        if self.missing and self.missing_is_error:
            raise DataError(
                f"{len(self.missing)} of {total} rows have no {name} ({some(self.missing)}); tag "
                "them, drop them, or set missing: none"
            )
        if self.unknown and self.unknown_is_error:
            value, ids = next(iter(self.unknown.items()))
            raise DataError(
                f"{len(self.unknown)} values of {name} are in no vocabulary: {value!r} of "
                f"{some(ids)}{did_you_mean(value, self.vocabulary.dimension.values)}; add them to "
                "values or others of the dimension, or set unknown: count"
            )
        notice(f"no {name}: given no tag of it", self.missing)
        report_unknown(name, self.unknown)


def _choose_reader(data: Pairs | Responses, source: TagSource) -> Read:
    """Choose the reader of a dimension's lists for a batch of the data."""
    if source.path is not None:
        return FileTags(read_tag_rows(source.path, source.id_field), source)
    fields, holder = source.fields, source.holder
    columns = [holder] if holder is not None else list(fields.values())
    lacking = [name for name in columns if name not in data.columns]
    if lacking:
        raise DataError(
            f"{data.name} has no column {lacking[0]!r}{did_you_mean(lacking[0], data.columns)}; it "
            f"has {some(data.columns, 20)}; name the column (column, columns_of), or the "
            "dimensions that there are (only)"
        )
    if holder is None:
        return lambda batch, name: read_lists(batch.column(fields[name]), fields[name])
    return lambda batch, name: _read_entry(batch, holder, fields[name])


def _read_entry(batch: pa.RecordBatch, holder: str, name: str) -> pa.ListArray:
    """Read one entry of a column that holds all dimensions, as a structure or as JSON."""
    column = batch.column(holder)
    if pa.types.is_struct(column.type):
        if column.type.get_field_index(name) < 0:
            fields = [column.type.field(n).name for n in range(column.type.num_fields)]
            raise DataError(f"{holder} has no entry {name!r}; it has {some(fields, 20)}")
        return read_lists(pc.struct_field(column, name), f"{holder}.{name}")
    if not pa.types.is_string(column.type):
        raise DataError(f"{holder} is {column.type}; it must be a structure, or text with JSON")
    ids = batch.column("id").to_pylist()
    cells = zip(column.to_pylist(), ids, strict=True)
    return make_lists([_parse_entry(text, row, holder).get(name) for text, row in cells], ids, name)


def _parse_entry(text: str | None, row: str, holder: str) -> Mapping[str, Any]:
    try:
        return json_object(text) if text else {}
    except BadRow as error:
        raise DataError(
            f"{holder} of {row} is {error}; it must be {{dimension: value}} in JSON"
        ) from error


def read_tag_rows(path: Path, id_field: str) -> dict[str, Mapping[str, Any]]:
    """Read the rows of a file by id."""
    rows_of: dict[str, Mapping[str, Any]] = {}
    for row in read_rows(data_files([path])):
        name = _id_of(row, id_field)
        if name is None:
            raise DataError(
                f"{row.location} is no JSON object with the field {id_field!r}; mend it, or name "
                "the field that holds the id: id_field"
            )
        if name in rows_of:
            raise DataError(f"{row.location} has the id {name} a second time; keep one of them")
        rows_of[name] = row.value if isinstance(row, Row) else {}
    return rows_of


def _id_of(row: Row | UnreadableRow, id_field: str) -> str | None:
    """Read the id of a row; None where there is none."""
    try:
        return identifier(row.value[id_field], id_field) if isinstance(row, Row) else None
    except (KeyError, BadRow):
        return None


class FileTags:
    """A reader of the tags of a batch's rows from the rows of a file."""

    def __init__(self, rows: Mapping[str, Mapping[str, Any]], source: TagSource) -> None:
        self.rows, self.holder, self.fields = rows, source.holder, source.fields

    def __call__(self, batch: pa.RecordBatch, name: str) -> pa.ListArray:
        ids = batch.column("id").to_pylist()
        wanted = self.fields[name]
        return make_lists([self._tags(row).get(wanted) for row in ids], ids, name)

    def _tags(self, row: str) -> Mapping[str, Any]:
        fields = self.rows.get(row, {})
        if self.holder is None:
            return fields
        inside = fields.get(self.holder)
        if isinstance(inside, str):
            return _parse_entry(inside, row, self.holder)
        if inside is not None and not isinstance(inside, dict):
            raise DataError(
                f"{self.holder} of {row} is {shown(inside)}; it must be {{dimension: value}}"
            )
        return inside or {}
