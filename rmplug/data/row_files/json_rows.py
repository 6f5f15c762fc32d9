"""Rows of JSON files: JSON Lines, an array of objects, an object of columns."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any

from pydantic_core import from_json

from rmplug.data.files import DataFile, open_bytes
from rmplug.data.raw_texts import BadRow, without_surrogates
from rmplug.errors import DataError

from .row import Row, UnreadableRow

BOM = b"\xef\xbb\xbf"
DEEPEST = 100
_CHUNK = 1 << 16
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_DECODER = json.JSONDecoder()
_MESSAGE_KEYS = (("role", "content"), ("from", "value"))
_NESTED = {dict, list}
_SPACE = re.compile(r"[ \t\r\n]*")


def json_lines(file: DataFile) -> Iterator[Row | UnreadableRow]:
    """Yield the objects of a file with one on each line."""
    number = 0
    with open_bytes(file.path) as stream:
        for line, text in enumerate(stream, 1):
            text = text.removeprefix(BOM) if line == 1 else text
            if not text.strip():
                continue
            number += 1
            try:
                value, repaired = _json_object(text)
            except BadRow as damage:
                yield UnreadableRow(file, line, damage.reason, damage.detail)
            else:
                yield Row(file, line, number, value, len(text), repaired=repaired)


def json_object(text: str) -> dict[str, Any]:
    """Return the mapping that a text writes as JSON, halves of surrogate pairs replaced by U+FFFD;
    raise ``BadRow`` for anything else."""
    return _json_object(text.encode(errors="surrogatepass"))[0]


def _json_object(line: bytes) -> tuple[dict[str, Any], bool]:
    """Return the object on a line, and whether halves of surrogate pairs were replaced in it."""
    value = _parsed_quickly(line)
    if value is not None:
        return value, False
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise BadRow("not valid UTF-8", f"at byte {error.start + 1}") from error
    value = _parsed(text.strip(" \t\r\n"))
    if not isinstance(value, dict):
        raise BadRow("not a JSON object", f"but {_named(value)}")
    return _checked(value, text)


def _parsed_quickly(line: bytes) -> dict[str, Any] | None:
    """Return the object on a line, several times as fast as ``json`` does and equal to what it
    gives; None for a line that has no object, or that ``json`` must look at: it takes halves of
    surrogate pairs and longer numbers, and names the fault of a broken line."""
    try:
        value = from_json(line, cache_strings="keys")
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    is_flat = _NESTED.isdisjoint(map(type, value.values()))
    return value if is_flat or line.count(b"[") + line.count(b"{") <= DEEPEST else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadRow("not valid JSON", f"{error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise BadRow("not valid JSON", f"nested more than {DEEPEST} deep") from error
    except ValueError as error:
        raise BadRow("not valid JSON", "a number with too many digits") from error


def _named(value: Any) -> str:
    if isinstance(value, str):
        return "a text"
    return "an array" if isinstance(value, list) else json.dumps(value)[:40]


def _checked(value: Any, text: str) -> tuple[Any, bool]:
    """Return the value with halves of surrogate pairs replaced by U+FFFD, and whether there were
    any."""
    if text.count("[") + text.count("{") > DEEPEST and _depth(value) > DEEPEST:
        raise BadRow("not valid JSON", f"nested more than {DEEPEST} deep")
    if not _SURROGATE.search(text):
        return value, False
    if isinstance(value, dict):
        repaired: Any = {without_surrogates(key): _repaired(item) for key, item in value.items()}
    else:
        repaired = _repaired(value)
    return repaired, repaired != value


def _depth(value: Any) -> int:
    """Return how deep lists and mappings are nested."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [
            inner for item in level for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _repaired(value: Any) -> Any:
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): _repaired(item) for key, item in value.items()}
    return value


def json_rows(file: DataFile) -> Iterator[Row | UnreadableRow]:
    """Yield the rows of an array, of an object of columns, of one object, or of JSON Lines under
    another name."""
    with open_bytes(file.path) as stream:
        first = next((line for line in stream if line.removeprefix(BOM).strip()), b"")
    start = first.removeprefix(BOM).lstrip()[:1]
    if not start:
        raise DataError(f"{file.path} is empty; give a file with at least one row")
    if start == b"[":
        yield from _json_array(file)
    elif start == b"{":
        yield from _json_objects(file, first.removeprefix(BOM))
    else:
        raise DataError(f"{file.path} is not JSON: it must begin with [ or {{")


def _json_array(file: DataFile) -> Iterator[Row | UnreadableRow]:
    with open_bytes(file.path) as stream:
        scanner = Scanner(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
        try:
            for number, (line, value, text) in enumerate(scanner.elements(), 1):
                if not isinstance(value, dict):
                    yield UnreadableRow(file, line, "not a JSON object", f"but {_named(value)}")
                    continue
                row, repaired = _checked(value, text)
                yield Row(file, line, number, row, len(text), repaired=repaired)
        except BadRow as damage:
            raise DataError(
                f"line {scanner.line} of {file.name}: {damage.reason} ({damage.detail}); an array "
                "of rows cannot be read past that, so mend it or write one object per line (.jsonl)"
            ) from damage
        except UnicodeDecodeError as error:
            raise DataError(
                f"line {scanner.line} of {file.name}: not valid UTF-8 at or after this line; "
                "save the file as UTF-8"
            ) from error


class Scanner:
    """A reader of the elements of a JSON array, one by one from a text stream."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.buffer = ""
        self.position = 0
        self.line = 1
        self.ended = False

    def elements(self) -> Iterator[tuple[int, Any, str]]:
        """Yield line, value and text of each element."""
        self._take("[")
        if self._peek() == "]":
            self.position += 1
        else:
            yield self._value()
            while self._take(",]") == ",":
                self._peek()
                yield self._value()
        if self._peek():
            raise BadRow("not valid JSON", "text after the closing bracket")

    def _more(self) -> None:
        text = self.stream.read(max(_CHUNK, len(self.buffer) - self.position))
        self.ended = not text
        self.buffer = self.buffer[self.position :] + text
        self.position = 0

    def _peek(self) -> str:
        """Return the next character that is not white space; empty at the end."""
        while True:
            match = _SPACE.match(self.buffer, self.position)
            end = match.end() if match else self.position
            self._advance(end)
            if end < len(self.buffer):
                return self.buffer[end]
            if self.ended:
                return ""
            self._more()

    def _advance(self, end: int) -> None:
        self.line += self.buffer.count("\n", self.position, end)
        self.position = end

    def _take(self, expected: str) -> str:
        character = self._peek()
        if not character:
            raise BadRow("not valid JSON", "the array is not closed")
        if character not in expected:
            raise BadRow("not valid JSON", f"expected {' or '.join(expected)}")
        self.position += 1
        return character

    def _value(self) -> tuple[int, Any, str]:
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.position)
            except json.JSONDecodeError as error:
                if self.ended or not self._may_be_cut(error):
                    raise BadRow("not valid JSON", error.msg) from error
            except RecursionError as error:
                raise BadRow("not valid JSON", f"nested more than {DEEPEST} deep") from error
            except ValueError as error:
                raise BadRow("not valid JSON", "a number with too many digits") from error
            else:
                if end < len(self.buffer) or self.ended:
                    line, text = self.line, self.buffer[self.position : end]
                    self._advance(end)
                    return line, value, text
            self._more()

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Check whether more text could mend the error: a string without its end, or one near the
        end."""
        return error.msg.startswith("Unterminated") or error.pos > len(self.buffer) - 16


def _json_objects(file: DataFile, first: bytes) -> Iterator[Row | UnreadableRow]:
    """Yield the rows of JSON Lines, or of one object that fills the file."""
    try:
        value, _ = _json_object(first)
        one_line = True
    except BadRow:
        one_line = False
    with open_bytes(file.path) as stream:
        lines = sum(1 for line in stream if line.strip()) if one_line else 0
    if lines > 1 or (one_line and not _is_columns(value)):
        yield from json_lines(file)
        return
    with open_bytes(file.path) as stream:
        data = stream.read()
    try:
        value, repaired = _json_object(data.removeprefix(BOM))
    except BadRow:
        yield from json_lines(file)
        return
    yield from _columns(file, value, repaired, len(data))


def _columns(
    file: DataFile, value: dict[str, Any], repaired: bool, size: int
) -> Iterator[Row | UnreadableRow]:
    if not _is_columns(value):
        yield Row(file, 1, 1, value, size, repaired=repaired)
        return
    columns = {
        name: list(items.values()) if isinstance(items, dict) else items
        for name, items in value.items()
    }
    lengths = {name: len(items) for name, items in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise DataError(f"{file.path}: the columns differ in length: {listed}")
    for number, items in enumerate(zip(*columns.values(), strict=True), 1):
        row = dict(zip(columns, items, strict=True))
        yield Row(file, None, number, row, size // len(items), repaired=repaired)


def _is_columns(value: Mapping[str, Any]) -> bool:
    """Check whether an object holds columns: all lists (not of messages), or all index-to-value
    maps."""
    items = list(value.values())
    if items and all(isinstance(item, dict) for item in items):
        keys = set(items[0])
        return bool(keys) and all(set(item) == keys for item in items) and "0" in keys
    lists = bool(items) and all(isinstance(item, list) for item in items)
    return lists and not all(_is_chat(item) for item in items)


def _is_chat(items: list[Any]) -> bool:
    return bool(items) and all(
        isinstance(item, dict)
        and ({"role", "content"} <= set(item) or {"from", "value"} <= set(item))
        for item in items
    )
