"""Rows of files with delimited fields: CSV and TSV with a header."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rmplug.data.dialect import UTF8, Dialect
from rmplug.data.files import DataFile, open_bytes
from rmplug.data.raw_texts import BadRow, without_surrogates
from rmplug.errors import DataError

from .row import Row, UnreadableRow

MOST_COLUMNS = 10_000
"""Columns of a file: each costs time and memory in every batch of rows."""


def delimited(file: DataFile, dialect: Dialect) -> Iterator[Row | UnreadableRow]:
    """Yield the rows below the header; every value is text."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with open_bytes(file.path, utf16=True) as stream:
        text = io.TextIOWrapper(stream, dialect.encoding, errors="surrogateescape", newline="")
        reader = csv.reader(text, delimiter=dialect.delimiter, strict=True)
        names = _header(file, reader, dialect)
        number, line = 0, reader.line_num + 1
        while True:
            fields, damage = _next_fields(reader, names, dialect)
            if fields is None:
                return
            if damage:
                number += 1
                yield UnreadableRow(file, line, damage.reason, damage.detail)
            elif fields:
                number += 1
                value = dict(zip(names, fields, strict=True))
                size = sum(map(len, fields))
                yield Row(file, line, number, value, size, typed=False)
            line = reader.line_num + 1


def unnamed_column(number: int) -> str:
    """Return the name given to a column without one, by its number from 1."""
    return f"column-{number}"


def _header(file: DataFile, reader: Any, dialect: Dialect) -> list[str]:
    try:
        names: list[str] = next((fields for fields in reader if any(fields)), [])
    except csv.Error as error:
        raise DataError(f"line 1 of {file.name}: the header cannot be read: {error}") from error
    if not names:
        raise DataError(f"{file.path} is empty; give a file with a header and at least one row")
    names = [name.strip() or unnamed_column(n) for n, name in enumerate(names, 1)]
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"{file.path} has {len(names):,} columns, more than {MOST_COLUMNS:,}; keep those that "
            "are needed"
        )
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{file.path} has two columns named {twice!r}; rename one")
    if "".join(names) != without_surrogates("".join(names)):
        raise DataError(
            f"line 1 of {file.name}: the header is not valid {dialect.shown_encoding}; save the "
            f"file as UTF-8{_advice(dialect)}"
        )
    return names


def _advice(dialect: Dialect) -> str:
    """Say what else to do about text that is not valid."""
    return ", or say encoding: cp1252 if Windows wrote it" if dialect.encoding == UTF8 else ""


def _next_fields(
    reader: Any, names: list[str], dialect: Dialect
) -> tuple[list[str] | None, BadRow | None]:
    """Return the next row's fields, none at the end, and what is wrong with them."""
    try:
        fields: list[str] | None = next(reader, None)
    except csv.Error as error:
        return [], BadRow("not valid CSV", str(error))
    if not fields:
        return fields, None
    if len(fields) != len(names):
        return fields, BadRow("wrong number of fields", f"{len(fields)} instead of {len(names)}")
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        advice = _advice(dialect).removeprefix(", or ")
        return fields, BadRow(f"not valid {dialect.shown_encoding}", advice)
    return fields, None
