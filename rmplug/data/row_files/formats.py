"""Rows of files of every format, one mapping each, with their lines and row numbers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from rmplug.data.dialect import DELIMITED, dialect_of, note_dialect
from rmplug.data.files import DataFile, open_bytes, reading
from rmplug.errors import DataError

from .delimited import delimited
from .json_rows import BOM, json_lines, json_rows
from .row import Row, UnreadableRow

_PARQUET = b"PAR1"
_CHUNK = 1 << 16
_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def read_rows(
    files: Sequence[DataFile],
    format: str = "auto",
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Iterator[Row | UnreadableRow]:
    """Yield all rows of the files in order; memory holds one of them at a time (of a JSON object of
    columns, all). ``delimiter`` and ``encoding`` are those of CSV and TSV, found if not given."""
    for file in files:
        with reading(file):
            form = format_of(file, format)
            usual = DELIMITED.get(form)
            if usual is not None:
                yield from delimited(file, dialect_of(file, usual, delimiter, encoding))
                continue
            if delimiter is not None or encoding is not None:
                raise DataError(
                    f"{file.path} is {form}, which has no delimiter and is UTF-8; leave out "
                    "delimiter and encoding"
                )
            yield from _READERS[form](file)


def note_dialects(
    files: Sequence[DataFile], format: str, delimiter: str | None, encoding: str | None
) -> None:
    """Note what was found of the form of CSV and TSV files that their endings do not say."""
    for file in files:
        with reading(file):
            usual = DELIMITED.get(format_of(file, format))
            if usual is not None:
                note_dialect(file, dialect_of(file, usual, delimiter, encoding))


def format_of(file: DataFile, declared: str) -> str:
    """Return the format of a file: as declared, or for ``auto`` by its first bytes and ending."""
    if declared != "auto":
        return declared
    with open_bytes(file.path, utf16=True) as stream:
        head = stream.read(_CHUNK)
    if head.startswith(_PARQUET):
        return "parquet"
    if file.suffix in _SUFFIXES:
        return _SUFFIXES[file.suffix]
    if head.removeprefix(BOM).lstrip()[:1] in (b"[", b"{"):
        return "json"
    raise DataError(
        f"cannot tell what {file.path} is; say format: jsonl, json, csv, tsv or parquet"
    )


def _parquet(file: DataFile) -> Iterator[Row | UnreadableRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with open_bytes(file.path) as stream, pq.ParquetFile(_seekable(stream)) as table:
            for batch in table.iter_batches(batch_size=512, use_threads=False):
                size = batch.nbytes // max(1, batch.num_rows)
                for value in batch.to_pylist():
                    number += 1
                    yield Row(file, None, number, value, size)
    except (pa.ArrowException, OSError, ValueError) as error:
        # pyarrow reports damage as any of these, on several lines
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{file.path} is not valid Parquet: {reason}") from error


def _seekable(stream: IO[bytes]) -> IO[bytes]:
    """Return the stream itself, or in memory what a gzip file holds."""
    plain = isinstance(getattr(stream, "raw", None), io.FileIO)
    return stream if plain else io.BytesIO(stream.read())


_READERS: dict[str, Callable[[DataFile], Iterator[Row | UnreadableRow]]] = {
    "json": json_rows,
    "jsonl": json_lines,
    "parquet": _parquet,
}
