"""Files as bytes: the files that a path means, their names in messages, gunzipped where needed."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rmplug.errors import DataError

_GZIP = b"\x1f\x8b"
MOST_UNPACKED, MOST_TIMES = 256_000_000, 300
"""Bytes that any file may unpack to, and how many times its size a larger one may: texts come to
ten times, and rows that repeat each other to a hundred."""
_REFUSED = {
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard; unpack it or use gzip",
    b"BZh": "compressed with bzip2; unpack it or use gzip",
    b"\xfd7zXZ": "compressed with xz; unpack it or use gzip",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"\xd0\xcf\x11\xe0": "an office document; save its sheet as CSV (UTF-8), and name that",
}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_WORKBOOK = "a workbook; save the sheet with the rows as CSV (UTF-8), and name that"


@dataclass(frozen=True)
class DataFile:
    """A file to read, and the shortest name that distinguishes it from the others."""

    path: Path
    name: str

    @property
    def suffix(self) -> str:
        """The ending that names the format: ``.jsonl`` of ``a.jsonl.gz``."""
        endings = [ending.lower() for ending in self.path.suffixes if ending.lower() != ".gz"]
        return endings[-1] if endings else ""


def data_files(paths: Sequence[Path]) -> list[DataFile]:
    """Return the files that the paths and patterns mean, in order; each must be there and not
    empty."""
    matches = [match for path in paths for match in _matches(path)]
    if len(set(matches)) < len(matches):
        twice = next(path for path in matches if matches.count(path) > 1)
        raise DataError(f"{twice} is named twice; name each file once")
    short = [path.name for path in matches]
    if len(set(short)) < len(short):
        top = os.path.commonpath([path.absolute().parent for path in matches])
        short = [path.absolute().relative_to(top).as_posix() for path in matches]
    return [DataFile(path, name) for path, name in zip(matches, short, strict=True)]


def _matches(path: Path) -> list[Path]:
    is_pattern = any(mark in str(path) for mark in "*?[") and not path.exists()
    matches = _expanded(path) if is_pattern else [path]
    if not matches:
        raise DataError(f"no file matches {path}")
    for match in matches:
        _check(match)
    return matches


def _expanded(pattern: Path) -> list[Path]:
    full = pattern.absolute()
    return sorted(Path(full.anchor).glob(str(full.relative_to(full.anchor))))


def _check(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path} is a folder; name the files in it, such as {path / '*.jsonl'}")
    if not path.exists():
        raise DataError(f"there is no file {path}")
    if not path.is_file():
        raise DataError(
            f"{path} is {_special(path.stat().st_mode)}, which can be read only once if at all; "
            "save what it gives as a file, and name that"
        )
    if not path.stat().st_size:
        raise DataError(f"{path} is empty; give a file with at least one row")


def _special(mode: int) -> str:
    """Name what is neither a file nor a folder; opening it could wait for ever."""
    if stat.S_ISFIFO(mode):
        return "a named pipe (FIFO)"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def open_bytes(path: Path, utf16: bool = False) -> IO[bytes]:
    """Return the file open for reading, gunzipped when its first bytes say so. Text in UTF-16 is
    refused unless the caller reads ``utf16``."""
    head = _head(path)
    for magic, what in _REFUSED.items():
        if head.startswith(magic) and not (utf16 and magic in _UTF16):
            is_workbook = path.suffix.lower() in _WORKBOOKS
            raise DataError(f"{path} is {_WORKBOOK if is_workbook else what}")
    if head.startswith(_GZIP):
        return io.BufferedReader(_Unpacked(path), 1 << 16)
    return path.open("rb")


class _Unpacked(io.RawIOBase):
    """A gunzipped file; one that unpacks to far more than any data do is refused on the way."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, gzip.open(path, "rb")  # noqa: SIM115 - closed with this
        self._most = max(MOST_UNPACKED, MOST_TIMES * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        size = self._file.readinto(buffer)
        if self._file.tell() > self._most:
            raise DataError(
                f"{self._path} unpacks to more than {self._most:,} bytes, over {MOST_TIMES} times "
                "its size; if that is meant, unpack it yourself"
            )
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(8)


@contextmanager
def reading(file: DataFile) -> Iterator[None]:
    """Explain in one sentence why a file cannot be read to its end, as a context."""
    try:
        yield
    except EOFError as error:
        raise DataError(
            f"{file.path} is cut off in the middle of its gzip data; fetch it again"
        ) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{file.path} is not valid gzip ({error}); fetch it again") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{file.path} cannot be read: {reason}") from error
