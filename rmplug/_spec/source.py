"""YAML data with the location of each value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rmplug.errors import Problem, SpecError, did_you_mean

from .yaml_reader import MAX_DEPTH, Reader, Span
from .yaml_text import MAX_BYTES, TOO_LARGE, KeyPath, Mark, Text

__all__ = ["Mark", "Source", "parse_source", "read_source"]


class Source:
    """A spec as plain data, with the location where each value was written."""

    def __init__(self, reader: Reader) -> None:
        self.file = reader.text.file
        self.folder = reader.text.folder
        self.data = reader.data
        self.problems = reader.problems
        self.duplicates = reader.duplicates
        """The keys that are written twice."""
        self._values = reader.values
        self._keys = reader.keys

    def mark(self, path: Sequence[str | int], *, key: bool = False) -> Mark:
        """Return where the value at ``path`` (or its key) was written, or else where it belongs."""
        text, start, end = self._span(tuple(path), key)
        return text.mark(start, end)

    def base(self, path: Sequence[str | int]) -> Path:
        """Return the folder from which a relative path written at ``path`` starts."""
        return self._span(tuple(path), False)[0].folder

    def problem(self, path: Sequence[str | int], message: str, *, key: bool = False) -> Problem:
        """Describe a problem with the value at ``path`` (or with its key)."""
        text, start, end = self._span(tuple(path), key)
        return text.problem(message, start, end, path)

    def set(self, assignment: str) -> None:
        """Set one value, as in ``steps.why.params.args.n_estimators=50``."""
        text = Text("--set", Path(), assignment)
        text.check()
        names, equals, _ = assignment.partition("=")
        if not equals:
            text.refuse("no '=': write it as in seed=7", 0, len(names))
        path, keys = self._locate(text, names)
        reader = Reader(text, len(names) + 1, path)
        reader.read()
        if reader.problems:
            raise SpecError(reader.problems)
        self._forget(path)
        self._put(path, reader.data, keys)
        self._values |= reader.values or {path: keys[path]}  # no value was written: its key
        self._keys |= reader.keys

    def _span(self, path: KeyPath, key: bool) -> Span:
        for length in range(len(path), 0, -1):
            prefix = path[:length]
            if key and prefix in self._keys:
                return self._keys[prefix]
            if prefix in self._values:
                return self._values[prefix]
        return self._values[()]

    def _locate(self, text: Text, names: str) -> tuple[KeyPath, dict[KeyPath, Span]]:
        """Resolve ``names`` to a path, with the position of each part of it in ``text``."""
        path: KeyPath = ()
        keys: dict[KeyPath, Span] = {}
        here, start = self.data, 0
        for name in names.rstrip().split("."):
            end = start + len(name)
            around = here
            key, here, fault = _child(here, name, path)
            if path[-1:] == ("steps",) and isinstance(around, dict) and name not in around:
                part_of_it = names[end:].startswith((".params", ".inputs"))
                fault = f"no such step{did_you_mean(name, around)}" if part_of_it else fault
            if fault:
                text.refuse(fault, start, end, path)
            path = (*path, key)
            keys[path] = (text, start, end)
            start = end + 1
        return path, keys

    def _forget(self, path: KeyPath) -> None:
        for spans in (self._values, self._keys):
            for old in [other for other in spans if other[: len(path)] == path]:
                del spans[old]

    def _put(self, path: KeyPath, value: object, keys: dict[KeyPath, Span]) -> None:
        here: Any = self.data
        key: Any
        for depth, key in enumerate(path[:-1], start=1):
            if (here[key] if isinstance(here, list) else here.get(key)) is None:
                here[key] = {}
                self._values[path[:depth]] = self._keys[path[:depth]] = keys[path[:depth]]
            here = here[key]
        here[path[-1]] = value
        self._keys[path] = keys[path]


def _child(here: object, name: str, path: KeyPath) -> tuple[str | int, object, str]:
    """Return the key that ``name`` stands for in ``here``, its value, and the fault if there is
    one."""
    if not name or len(path) == MAX_DEPTH:
        return name, None, "too many names in the path" if name else "a name is missing in the path"
    if isinstance(here, list):
        if name.isascii() and name.isdigit() and len(name) < 7 and int(name) < len(here):
            return int(name), here[int(name)], ""
        return name, None, f"not one of the {len(here)} items, which are counted from 0"
    if isinstance(here, dict):
        return name, here.get(name), ""
    return name, None, "" if here is None else "nothing can be set inside a plain value"


def read_source(path: Path) -> Source:
    """Read the spec in a file; raise SpecError with one problem if it holds no YAML mapping."""
    return parse_source(read_text(path), _name(path), path.parent)


def read_text(path: Path) -> str:
    """Read the text of a file, no more than a spec may be long, with lines that end in a line feed;
    raise SpecError with one problem if it cannot be read."""
    file = _name(path)
    content = _content(path, file)
    try:
        return _normal(content.decode())
    except UnicodeDecodeError as error:
        before, byte = content[: error.start].decode(), content[error.start]
        fault = f"not UTF-8: byte 0x{byte:02x} at offset {error.start}; save the file as UTF-8"
        Text(file, path.parent, _normal(before) + "\ufffd").refuse(fault, len(_normal(before)))


def _name(path: Path) -> str:
    """Return the name of a file in messages."""
    return str(path).encode(errors="replace").decode()


def parse_source(text: str, file: str = "<spec>", folder: Path = Path()) -> Source:
    """Read a spec from a string, as ``read_source`` does from a file."""
    reader = Reader(Text(file, folder, _normal(text)))
    reader.text.check()
    reader.read()
    if reader.data is None:
        raise SpecError([Problem("empty: a spec begins with a key, as in 'steps:'", file=file)])
    if not isinstance(reader.data, dict):
        _, start, end = reader.values[()]
        reader.text.refuse("not a mapping: a spec begins with a key, as in 'steps:'", start, end)
    return Source(reader)


def _content(path: Path, file: str) -> bytes:
    """Read the bytes of a file, no more than a spec may be long."""
    try:
        if path.is_dir():
            raise IsADirectoryError
        if path.exists() and not path.is_file():
            raise ValueError("it is a pipe or a device; give a regular file")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        fault = "no such file"
    except IsADirectoryError:
        fault = "this is a folder: give the spec file in it"
    except (OSError, ValueError) as error:
        fault = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    else:
        if len(content) <= MAX_BYTES:
            return content
        fault = TOO_LARGE
    raise SpecError([Problem(fault, file=file)])


def _normal(text: str) -> str:
    """Return the text without its byte-order mark, each line ending in a line feed."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
