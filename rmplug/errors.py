"""Errors for people: one base class, one sentence per problem."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
MAX_NAME = 100
MAX_KNOWN = 2000
"""The number of names that ``closest`` compares: it bounds the time for broken specs."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault, where it was written, and what to write instead."""

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    text: str = ""
    width: int = 1

    def __str__(self) -> str:
        location = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        head = ": ".join(part for part in (location, self.path, self.message) if part)
        return head + (f"\n{self._excerpt()}" if self.line and self.text.strip() else "")

    def __repr__(self) -> str:
        return f"<Problem {str(self).partition(chr(10))[0]}>"

    def _excerpt(self) -> str:
        """Return the source line with a caret below, cut around the column when it is very long."""
        start = max(0, self.column - 60) if len(self.text) > 120 else 0
        shown = self.text[start : start + 120].replace("\t", " ")
        gutter = f"  {self.line} | "
        caret = " " * (self.column - 1 - start) + "^" * max(1, min(self.width, 60))
        return f"{gutter}{shown}\n{' ' * (len(gutter) - 2)}| {caret}"


class RmplugError(Exception):
    """A person's mistake or a limit of the machine: shown as its message, never as a traceback."""


class SpecError(RmplugError):
    """A spec that cannot run, with all its problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DataError(RmplugError):
    """Data that a step cannot take as it is; the message names the rows and the policy that would
    go on."""


class StoreError(RmplugError):
    """A store that cannot be read or written; the results it already holds stay valid."""


class PluginError(RmplugError):
    """A kind or a plugin that cannot be used; the message names the distribution and the reason."""


class StepError(RmplugError):
    """A step that failed for a reason a person can mend; the message names the step."""


class WorkerDied(StepError):
    """A worker process that ended before its work was done, as for want of memory."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant, or an empty string."""
    if len(name) > MAX_NAME:
        return ""
    import difflib

    some_known = [other for other in islice(known, MAX_KNOWN) if len(other) <= MAX_NAME]
    return next(iter(difflib.get_close_matches(name, some_known, n=1, cutoff=0.6)), "")


_IN = "in "


def add_place(error: BaseException, place: str) -> None:
    """Note where a bug came up (a step, an item, rows), from the inside out. The notes travel with
    the error between processes, and stand below its traceback."""
    error.add_note(_IN + place)


def places_of(error: BaseException) -> list[str]:
    """Return the notes of ``add_place``, from the outside in."""
    notes = reversed(getattr(error, "__notes__", []))
    return [note.removeprefix(_IN) for note in notes if note.startswith(_IN)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'name'?"`` for the closest known name, or an empty string."""
    meant = closest(name, known)
    return f"; did you mean {meant!r}?" if meant else ""


def near_names(path: Path) -> str:
    """Return ``"; did you mean 'name'?"`` for the closest name in the folder of a path that is not
    there, or an empty string."""
    try:
        names = [one.name for one in islice(path.parent.iterdir(), MAX_KNOWN)]
    except (OSError, ValueError):
        return ""
    return did_you_mean(path.name, names)


def printable(text: str) -> str:
    """A text with its control characters and signs that turn the direction of writing escaped, so
    that a text from a file cannot write to a terminal; line breaks and tabs stay."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def some(names: Iterable[str], limit: int = 5, between: str = ", ") -> str:
    """List up to ``limit`` names and how many more there are: ``a, b, c and 7 more``."""
    listed = list(names)
    shown = between.join(listed[:limit])
    return shown + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def shown(value: Any) -> str:
    """Describe a wrong value in a few words."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
