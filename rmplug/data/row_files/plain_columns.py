"""A few columns of files by Arrow alone, where that cannot differ from reading row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from rmplug.data.files import DataFile, open_bytes, reading
from rmplug.data.raw_texts import BadRow
from rmplug.errors import DataError

from .formats import format_of
from .json_rows import json_object

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1 << 20
"""Bytes parsed at a time: a longer line is read row by row, and longer blocks leave the processor's
cache."""
READ = 2048
"""Rows of Parquet read at a time: few enough to stay in the processor's cache."""
NULL_ROW = re.compile(rb"\}\s*null")
LINE_END, OPENING, CLOSING = b"\n{}"


class NotPlain(ValueError):
    """The reason why files must be read row by row."""


def read_plain_columns(
    files: Sequence[DataFile], format: str, types: Mapping[str, pa.DataType]
) -> Iterator[pa.RecordBatch]:
    """Yield the columns in ``types`` of JSON Lines or Parquet files, faster than row by row.
    Columns that a file does not have are left out; a null is null or missing.

    Raises ``NotPlain``, if need be after some batches, where reading row by row could give anything
    else or would say what is wrong: other formats, values of other types, broken lines, text that
    is not valid UTF-8; and where the first row of JSON Lines lacks a column that a later one has.
    """
    import pyarrow as pa

    readers = {"jsonl": _json_lines, "parquet": _parquet}
    try:
        for file in files:
            with reading(file):
                reader = readers.get(format_of(file, format))
                if reader is None:
                    raise NotPlain(f"{file.name} is not JSON Lines or Parquet")
                for batch in reader(file, types):
                    batch.validate(full=True)
                    yield batch
    except (pa.ArrowException, DataError, UnicodeDecodeError) as error:
        raise NotPlain(str(error)) from error


def _json_lines(file: DataFile, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    first = _first_row(file)
    there = {name: types[name] for name in types if name in first}
    given = 0
    if first.keys() == there.keys():
        try:
            for batch in _lines_parsed(file, there):
                given += 1
                yield batch
            return
        except pa.ArrowInvalid:
            pass  # another column further down; anything else is told again
    absent = [name for name in types if name not in there]
    yield from islice(_lines_parsed(file, there, absent), given, None)


def _first_row(file: DataFile) -> dict[str, Any]:
    with open_bytes(file.path) as stream:
        for line in iter(partial(stream.readline, BLOCK), b""):
            if line.strip():
                try:
                    return json_object(line.decode())
                except BadRow as fault:
                    raise NotPlain(f"{file.name} does not begin with a row") from fault
    raise NotPlain(f"{file.name} has no rows")


def _lines_parsed(
    file: DataFile, types: Mapping[str, pa.DataType], absent: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the columns in ``types``. Others are left out as long as none of the names in
    ``absent`` is written anywhere. Without ``absent`` Arrow refuses any other column, which takes
    less time than a look for names."""
    import pyarrow as pa
    from pyarrow import json as pa_json

    parse = pa_json.ParseOptions(
        explicit_schema=pa.schema(list(types.items())),
        unexpected_field_behavior="error" if absent is None else "ignore",
    )
    read = pa_json.ReadOptions(use_threads=False, block_size=BLOCK)
    rows = 0
    with open_bytes(file.path) as stream:
        lines = _PlainLines(file, stream, absent or ())
        for batch in pa_json.open_json(lines, read_options=read, parse_options=parse):
            rows += batch.num_rows
            yield batch
    if rows != lines.count:
        # Arrow takes two objects on one line, and one object on two
        raise NotPlain(f"{file.name} has not one row on each line")


class _PlainLines:
    """A file on its way to Arrow, which reads it in blocks of whole lines. Raises ``NotPlain``
    unless each is one object or blank, or where a name that must be absent is written.
    ``count`` is the number of lines that are not blank."""

    closed = False

    def __init__(self, file: DataFile, stream: IO[bytes], absent: Sequence[str]) -> None:
        self.file = file
        self.stream = stream
        self.absent = _any_of(absent)
        self.rest = b""
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int) -> memoryview:
        """Return the next whole lines, of at most so many bytes; nothing at the end."""
        block = self.rest + self.stream.read(size - len(self.rest))
        end = block.rfind(b"\n") + 1 if len(block) == size else len(block)
        lines, self.rest = memoryview(block)[:end], block[end:]
        if block:
            self._check(lines)
        return lines

    def _check(self, lines: memoryview) -> None:
        if not lines:
            raise NotPlain(f"{self.file.name} has a line of more than {BLOCK:,} bytes")
        counted = _rows_alone(lines)
        if counted is None:
            counted = _rows_among_blank_lines(bytes(lines))
        if counted is None:
            raise NotPlain(f"{self.file.name} has other lines than one object in braces")
        if self.absent and self.absent.search(lines):
            raise NotPlain(f"{self.file.name} has columns that its first row lacks")
        self.count += counted


def _any_of(names: Sequence[str]) -> re.Pattern[bytes] | None:
    written = b"|".join(re.escape(name.encode()) for name in names)
    return re.compile(b'"(' + written + b')"') if names else None


def _rows_alone(lines: memoryview) -> int | None:
    """Count lines, as long as each is an object and nothing else; None if one is not, or might not
    be."""
    import numpy as np

    codes = np.frombuffer(lines, np.uint8)
    ends, closing = np.flatnonzero(codes == LINE_END), codes == CLOSING
    if codes[-1] != LINE_END:
        ends = np.append(ends, len(codes))
    begins = np.concatenate([[0], ends[:-1] + 1])
    if not (codes[begins] == OPENING).all() or not (codes[ends - 1] == CLOSING).all():
        return None
    if np.count_nonzero(closing) > len(ends):
        after = codes[np.flatnonzero(closing[:-1]) + 1]
        if ((after == ord("n")) | ((after <= ord(" ")) & (after != LINE_END))).any():
            return None  # a null may follow
    return len(ends)


def _rows_among_blank_lines(block: bytes) -> int | None:
    """Count the lines of a block that are not blank, each an object between spaces; None if one is
    not."""
    rows = [*filter(None, map(bytes.strip, block.split(b"\n")))]
    # Arrow ends the process where a null stands for a row
    if NULL_ROW.search(b"\n".join(rows)):
        return None
    return len(rows) if all(row[:1] == b"{" and row[-1:] == b"}" for row in rows) else None


def _parquet(file: DataFile, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with open_bytes(file.path) as stream, pq.ParquetFile(stream) as table:
        schema = table.schema_arrow
        names = [name for name in types if name in schema.names]
        if any(schema.field(name).type != types[name] for name in names):
            raise NotPlain(f"{file.name} has columns of other types")
        yield from table.iter_batches(READ, columns=names, use_threads=False)
