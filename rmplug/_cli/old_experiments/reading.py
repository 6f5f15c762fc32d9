"""Reading of an old experiment file, whose indentation may have slipped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rmplug._spec.source import Source, parse_source, read_text
from rmplug._spec.yaml_text import KeyPath
from rmplug.errors import SpecError

Outcome = Literal["read as meant", "carried over", "left out"]

_VALUE = re.compile(r"(?P<key>\s*(?:- )?[\w.-]+:)\s+(?P<value>[^\s#|>&*{\[\"'].*)")
_DEEPER = re.compile(r"(?P<indent>\s*)(?:- |[\w.-]+:(?:\s|$))")


@dataclass(frozen=True)
class Told:
    """What became of a line of an old file."""

    line: int
    what: str
    outcome: Outcome
    how: str


@dataclass(frozen=True)
class Entry:
    """An entry of a list such as ``compute`` or ``plot``: its name, and its fields or names."""

    name: str
    value: Any
    path: KeyPath
    """The location of the name."""
    inside: KeyPath
    """The location that its fields are below."""


@dataclass
class OldFile:
    """An old experiment file as data, with the line of each value and what became of it."""

    source: Source
    told: list[Told] = field(default_factory=list)
    settled: set[KeyPath] = field(default_factory=set)
    """The locations of which something was told, with all that is inside them."""

    @property
    def data(self) -> Mapping[str, Any]:
        return self.source.data if isinstance(self.source.data, dict) else {}

    def line(self, path: KeyPath) -> int:
        return self.source.mark(path, key=True).line

    def tell(self, path: KeyPath, outcome: Outcome, how: str) -> None:
        """Note what became of the value at a location, and of all that is inside it."""
        what = _shown(path)
        if path and isinstance(path[-1], int):  # an entry that is a text
            what = f"{what}.{self._value(path)}"
        self.told.append(Told(self.line(path), what, outcome, how))
        self.settled.add(path)

    def _value(self, path: KeyPath) -> Any:
        value: Any = self.source.data
        for part in path:
            value = value[part]
        return value

    def carried(self, path: KeyPath, how: str) -> None:
        self.tell(path, "carried over", how)

    def left(self, path: KeyPath, why: str) -> None:
        self.tell(path, "left out", why)

    def section(self, *path: str) -> Mapping[str, Any]:
        """Return the mapping at a location; an empty one where there is none."""
        value: Any = self.data
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value if isinstance(value, Mapping) else {}

    def entries(self, value: Any, path: KeyPath) -> Iterator[Entry]:
        """Yield the entries of a list; of one whose fields stand beside its name and not below it
        (``- row:`` and then ``question: …`` in line with ``row``), note how it is read."""
        listed = value if isinstance(value, list) else [value] if value is not None else []
        for index, one in enumerate(listed):
            here: KeyPath = (*path, index) if isinstance(value, list) else path
            if not isinstance(one, Mapping):
                yield Entry(str(one), None, here, here)
                continue
            if not one:
                continue  # told with the rest
            (name, first), *others = one.items()
            inside: KeyPath = (*here, name)
            if first is None and others:
                slip = f"its fields stand beside {name!r}, not below it; read as its fields"
                self.settled.add(inside)
                self.told.append(Told(self.line(inside), _shown(inside), "read as meant", slip))
                yield Entry(str(name), dict(others), inside, here)
                continue
            yield Entry(str(name), first, inside, inside)
            for other, more in others:
                yield Entry(str(other), more, (*here, other), (*here, other))

    def leave_the_rest(self) -> None:
        """Note every value of which nothing was told yet."""
        for path in _leaves(self.source.data, ()):
            if not any(path[:length] in self.settled for length in range(1, len(path) + 1)):
                self.left(path, "not a key of the original that is known here")


def read_old(path: Path) -> OldFile:
    """Read an old experiment file: as plain data, within the limits of a spec, and repaired where a
    text is followed by fields of its own. Raises SpecError where it cannot be read even so."""
    text, told = _repaired(read_text(path))
    source = parse_source(text, str(path), path.parent)
    if source.problems:
        raise SpecError(source.problems)
    return OldFile(source, told)


def _repaired(text: str) -> tuple[str, list[Told]]:
    """Take the value of a key away where deeper lines with keys follow, which is no YAML:
    ``sample: default`` and then ``method: first``. Lines stay where they are."""
    lines = text.split("\n")
    told: list[Told] = []
    below = ""
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index].rstrip()
        match, deeper = _VALUE.fullmatch(line), _DEEPER.match(below)
        if match and deeper and len(deeper["indent"]) > _indent(line):
            key, value = match["key"].strip().removeprefix("- ").rstrip(":"), match["value"]
            how = f"not YAML: {value!r} is followed by deeper lines; read as the mapping below it"
            told.append(Told(index + 1, key, "read as meant", how))
            lines[index] = match["key"]
        if line and not line.lstrip().startswith("#"):
            below = line
    return "\n".join(lines), told[::-1]


def _indent(line: str) -> int:
    """Return the column where the key of a line begins."""
    bare = line.lstrip()
    return len(line) - len(bare.removeprefix("- ").lstrip())


def _shown(path: KeyPath) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))


def _leaves(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    else:
        yield path
