"""Plain data from YAML text, with the location of each value and key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

from rmplug.errors import Problem, SpecError

from .yaml_events import read_events
from .yaml_text import KeyPath, Text

MAX_DEPTH = 64
MAX_VALUES = 100_000
MAX_DIGITS = 250
"""A longer number is read as text: as a float or in decimal, Python might not hold it."""
MAX_PROBLEMS = 100
"""The number of problems at which reading stops: a file of duplicates has one for each."""

_COLON = re.compile(r"\s*:")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_TAG = "tag:yaml.org,2002:"
_TYPES: dict[str, tuple[type, ...]] = {
    f"{_TAG}int": (int,),
    f"{_TAG}float": (float, int),
    f"{_TAG}bool": (bool,),
    f"{_TAG}null": (type(None),),
}

Span = tuple[Text, int, int]


@dataclass(slots=True)
class _Open:
    """A mapping or a list that is not closed yet; ``key`` waits for its value."""

    data: dict[str, object] | list[object]
    path: KeyPath
    anchor: str | None
    key: str | None = None


class Reader:
    """A builder of plain data from YAML events that notes the location of each value and key."""

    def __init__(self, text: Text, start: int = 0, root: KeyPath = ()) -> None:
        self.text = text
        self.start = start
        self.root = root
        self.duplicates: set[KeyPath] = set()
        self.data: object = None
        self.problems: list[Problem] = []
        self.values: dict[KeyPath, Span] = {}
        self.keys: dict[KeyPath, Span] = {}
        self._event: Any = None
        self._documents = self._count = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[object, KeyPath] | None] = {}

    def read(self) -> None:
        """Read the whole text; raise SpecError at the first fault that cannot be skipped."""
        for event in read_events(self.text, self.start):
            self._event = event
            match type(event).__name__:
                case "ScalarEvent":
                    self._scalar()
                case "MappingStartEvent":
                    self._open({}, f"{_TAG}map")
                case "SequenceStartEvent":
                    self._open([], f"{_TAG}seq")
                case "MappingEndEvent" | "SequenceEndEvent":
                    self._close()
                case "AliasEvent":
                    self._alias()
                case "DocumentStartEvent":
                    self._document()

    @property
    def _span(self) -> Span:
        event = self._event
        return self.text, self.start + event.start_mark.index, self.start + event.end_mark.index

    def _value_span(self, path: KeyPath) -> Span:
        """Return where a scalar stands: an empty one behind its colon.

        In brackets, libyaml marks it at the sign that follows instead.
        """
        text, start, end = self._span
        colon = _COLON.match(text.text, self.keys[path][2], start) if path in self.keys else None
        return (text, colon.end(), colon.end()) if colon and start == end else (text, start, end)

    def _refuse(self, message: str) -> NoReturn:
        text, start, end = self._span
        text.refuse(message, start, end)

    def _problem(self, message: str, path: KeyPath) -> None:
        text, start, end = self._span
        self.problems.append(text.problem(message, start, end, path))
        if len(self.problems) == MAX_PROBLEMS:
            raise SpecError(self.problems)

    def _document(self) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse("a second document begins here: a spec is a single one")

    def _scalar(self) -> None:
        if not self._event.style:
            text, start, end = self._span
            text.refuse_no_break(start, end)
        top = self._stack[-1] if self._stack else None
        if top and top.key is None and isinstance(top.data, dict):
            self._key(top)
        else:
            path = self._next()
            self._admit(path, self._value_span(path))
            self._attach(self._value(path), path, self._event.anchor)

    def _key(self, mapping: _Open) -> None:
        event, value = self._event, self._value(mapping.path)
        name = value if isinstance(value, str) else event.value
        if not event.style and name in ("", "<<"):
            self._refuse(
                "merge keys are not read: write the fields out" if name else "a key is missing"
            )
        path = (*mapping.path, name)
        if name in mapping.data:
            self.duplicates.add(path)
            text, start, end = self.keys[path]
            line = text.mark(start, end).line
            self._problem(
                f"duplicate key {name!r}: already on line {line}; delete one of them", path
            )
        elif name is not value:
            self._problem(f"a key is text: put quotes around {name!r}", path)
        self._count += 1
        self.keys[path] = self._span
        if event.anchor:
            self._anchors[event.anchor] = name, path
        mapping.key = name

    def _next(self) -> KeyPath:
        """Return the path of the value that begins here."""
        if not self._stack:
            return self.root
        top = self._stack[-1]
        if isinstance(top.data, list):
            return (*top.path, len(top.data))
        if top.key is None:
            self._refuse("a key is text: put quotes around it")
        return (*top.path, top.key)

    def _admit(self, path: KeyPath, span: Span, *, container: bool = False) -> None:
        """Note where a value stands, and refuse one too many."""
        self._count += 1
        if self._count > MAX_VALUES:
            self._refuse(f"more than {MAX_VALUES:,} keys and values, with what aliases repeat")
        if container and len(path) >= MAX_DEPTH:
            self._refuse(f"nested more than {MAX_DEPTH} deep")
        self.values[path] = span

    def _attach(self, value: object, path: KeyPath, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = value, path
        if not self._stack:
            self.data = value
        elif isinstance(self._stack[-1].data, list):
            self._stack[-1].data.append(value)
        else:
            self._stack[-1].data[str(path[-1])] = value
            self._stack[-1].key = None

    def _open(self, data: dict[str, object] | list[object], tag: str) -> None:
        event, path = self._event, self._next()
        if event.tag not in (None, "!", tag):
            self._unknown_tag(path)
        self._admit(path, self._span, container=True)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(data, path, event.anchor))

    def _close(self) -> None:
        closed = self._stack.pop()
        text, start, end = self._span
        if end > start:  # a bracket closes here; a block just stops
            self.values[closed.path] = text, self.values[closed.path][1], end
        self._attach(closed.data, closed.path, closed.anchor)

    def _alias(self) -> None:
        name, path = self._event.anchor, self._next()
        if name not in self._anchors:
            self._refuse(f"unknown alias: no value before it is marked with &{name}")
        anchor = self._anchors[name]
        if anchor is None:
            self._refuse(f"this alias is inside the value that it repeats, marked with &{name}")
        self._attach(self._repeat(*anchor, path, self._span), path, None)

    def _repeat(self, value: object, origin: KeyPath, path: KeyPath, span: Span) -> object:
        """Copy the value at ``origin``; the values inside it keep the locations where they were
        written."""
        self._admit(path, span, container=isinstance(value, dict | list))
        if isinstance(value, dict):
            return {key: self._repeat_item(item, origin, path, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self._repeat_item(item, origin, path, i) for i, item in enumerate(value)]
        return value

    def _repeat_item(self, item: object, origin: KeyPath, path: KeyPath, key: str | int) -> object:
        old, new = (*origin, key), (*path, key)
        if old in self.keys:
            self._count += 1
            self.keys[new] = self.keys[old]
        return self._repeat(item, old, new, self.values[old])

    def _value(self, path: KeyPath) -> object:
        event = self._event
        text = self._whole(event.value, path) if event.style == '"' else event.value
        if event.tag in ("!", f"{_TAG}str"):
            return text
        value = _core(text) if event.tag or not event.style else text
        if event.tag in _TYPES and type(value) not in _TYPES[event.tag]:
            self._problem(f"!!{event.tag.removeprefix(_TAG)} cannot be {text!r}", path)
        elif event.tag and event.tag not in _TYPES:
            self._unknown_tag(path)
        return float(value) if event.tag == f"{_TAG}float" and type(value) is int else value

    def _whole(self, text: str, path: KeyPath) -> str:
        """Return the text with escaped halves of characters joined, as JSON writes them."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._problem("half of a surrogate pair: write both halves, or one \\U escape", path)
            return text.encode(errors="replace").decode()

    def _unknown_tag(self, path: KeyPath) -> None:
        tag = self._event.tag.replace(_TAG, "!!")
        self._problem(f"unsupported tag {tag!r}: delete it, or quote text with '!' before it", path)


def _core(text: str) -> object:
    """Return the meaning of plain text in the core schema of YAML 1.2, where ``no`` and dates are
    text."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > MAX_DIGITS or text[0] not in "+-.0123456789":
        return text
    if _INT.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(text) if _FLOAT.fullmatch(text) else text
