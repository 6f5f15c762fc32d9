"""The form of a file with delimited fields: what separates them, and how its text is encoded."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from rmplug.data.files import DataFile, open_bytes
from rmplug.errors import DataError, did_you_mean, shown
from rmplug.notices import notice

DELIMITED = {"csv": ",", "tsv": "\t"}
"""The delimiter that a format stands for unless another one is given or found."""
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""What may be found to separate fields, in words."""
SAMPLE = 1 << 16
"""Bytes of a file that are looked at to find its form."""
UTF8 = "utf-8-sig"
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
          codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
KNOWN = ("utf-8", "utf-16", "cp1252", "latin-1", "cp1250", "cp1251", "shift_jis", "gb18030", "big5")


@dataclass(frozen=True)
class Dialect:
    """A delimiter and an encoding, and in words what of them the file's ending does not say."""

    delimiter: str
    encoding: str
    found: tuple[str, ...] = ()

    @property
    def shown_encoding(self) -> str:
        """The name of the encoding, for messages."""
        return self.encoding.removesuffix("-sig").upper().replace("CP", "cp")


def dialect_of(
    file: DataFile, usual: str, delimiter: str | None = None, encoding: str | None = None
) -> Dialect:
    """Return the form of a file: as given, else as its first bytes show. ``usual`` is the delimiter
    that its ending stands for; another one is found only where the header and more rows agree on it
    than on any other. Raises ``DataError`` where that cannot be told."""
    with open_bytes(file.path, utf16=True) as stream:
        head = stream.read(SAMPLE)
    found: list[str] = []
    if encoding is None:
        encoding = _encoding(file, head)
        if encoding != UTF8:
            found.append(f"text is {encoding.upper()}")
    elif codecs.lookup(encoding).name == "utf-8":
        encoding = UTF8
    if delimiter is None:
        sample = head.decode(encoding, "replace")
        delimiter = _delimiter(file, sample, len(head) == SAMPLE, usual)
        if delimiter != usual:
            found.append(f"fields are separated by {DELIMITERS[delimiter]}")
    return Dialect(delimiter, encoding, tuple(found))


def note_dialect(file: DataFile, dialect: Dialect) -> None:
    """Note what was found of a file's form that its ending does not say."""
    for what in dialect.found:
        notice(what, [file.name], of="files")


def wrong_encoding(name: str) -> str | None:
    """Explain that an encoding is unknown; None of one that is known."""
    try:
        if codecs.lookup(name)._is_text_encoding:
            return None
    except (LookupError, ValueError):
        pass
    return f"unknown encoding {name!r}{did_you_mean(name.lower(), KNOWN)}; write one such as cp1252"


def wrong_delimiter(text: str) -> str | None:
    """Explain that a text cannot separate fields; None of one that can."""
    if len(text) == 1 and text not in '"\r\n':
        return None
    return f"must be one character that is no quotation mark or line break, not {shown(text)}"


def _encoding(file: DataFile, head: bytes) -> str:
    """Return the encoding that the first bytes tell: UTF-16 and UTF-32 by their mark, else
    UTF-8."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if len(head) // 5 < head.count(0) <= len(head) * 3 // 4:
        raise DataError(
            f"{file.path} is no UTF-8 text: it has many zero bytes, as UTF-16 has; say its "
            "encoding, such as utf-16-le, or save it as UTF-8"
        )
    return UTF8


def _delimiter(file: DataFile, sample: str, cut: bool, usual: str) -> str:
    columns: dict[str, int] = {}
    agreeing: dict[str, int] = {}
    for delimiter in dict.fromkeys([usual, *DELIMITERS]):
        lengths = list(_lengths(sample, delimiter))
        rows = lengths[1:-1] if cut else lengths[1:]
        if lengths and lengths[0] > 1:
            columns[delimiter] = lengths[0]
            agreeing[delimiter] = rows.count(lengths[0])
    if not columns:
        return usual
    most = max(agreeing.values())
    best = [delimiter for delimiter, count in agreeing.items() if count == most]
    if len(best) == 1 or (usual in best and not most):
        return best[0] if len(best) == 1 else usual
    ways = " or ".join(f"{DELIMITERS[each]} ({columns[each]} columns)" for each in best)
    raise DataError(f"{file.path}: fields may be separated by {ways}; say delimiter")


def _lengths(sample: str, delimiter: str) -> Iterator[int]:
    """Yield the number of fields of each row that is not empty, up to one that cannot be read."""
    try:
        for fields in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, strict=True):
            if any(fields):
                yield len(fields)
    except csv.Error:
        return
