"""Rows of benchmark files as they were published: JSON, JSON Lines or Parquet, gzip or not."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rmplug import DataError

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"


@dataclass(frozen=True)
class At:
    """Where a row stands: its file (or split) and its number there, from 1."""

    source: Path
    number: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.number}"


Placed = tuple[At, dict[str, Any]]


def file_rows(paths: Sequence[Path]) -> Iterator[Placed]:
    """Every row of every file, in order."""
    for path in paths:
        for number, row in enumerate(_rows(path), 1):
            if not isinstance(row, dict):
                raise DataError(f"{path.name}:{number}: not a JSON object but {str(row)[:40]!r}")
            yield At(path, number), row


def _rows(path: Path) -> Iterator[Any]:
    content = _content(path)
    if content.startswith(PARQUET):
        yield from _parquet(path, content)
    elif content[:1] in (b"[", b"{"):
        yield from _json(path, content)
    else:
        raise DataError(f"{path} is neither JSON nor Parquet; give the file as it was published")


def _content(path: Path) -> bytes:
    """The file's bytes, gunzipped; benchmarks are small, and an array of rows is read at once."""
    try:
        content = path.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path} is not whole gzip data ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return content if content.startswith(PARQUET) else content.lstrip(b"\xef\xbb\xbf \t\r\n")


def _parquet(path: Path, content: bytes) -> Iterator[Any]:
    try:
        for batch in pq.ParquetFile(io.BytesIO(content)).iter_batches(512, use_threads=False):
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is not valid Parquet: {reason}") from error


def _json(path: Path, content: bytes) -> Iterator[Any]:
    """An array of rows, one object per line, or an object of columns."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start + 1}); save it so") from error
    first = text.split("\n", 1)[0]
    if text[0] == "[" or not _parses(first):
        yield from _whole(_parsed(text, path.name))
        return
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) == 1:
        yield from _whole(_parsed(first, path.name))
        return
    for number, line in lines:
        yield _parsed(line, f"{path.name}:{number}")


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not valid JSON ({error})") from error


def _whole(value: Any) -> Iterator[Any]:
    """The rows of one JSON value: an array, one row, or columns (lists, or texts by number)."""
    if isinstance(value, list):
        yield from value
        return
    columns = [list(c.values()) if isinstance(c, dict) and "0" in c else c for c in value.values()]
    sizes = {len(c) if isinstance(c, list) else -1 for c in columns}
    if len(sizes) == 1 and -1 not in sizes:
        for values in zip(*columns, strict=True):
            yield dict(zip(value, values, strict=True))
    else:
        yield value
