"""A place in a spec: what was written there, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmplug.errors import Problem, RmplugError, did_you_mean

from .source import Source

MAX_PROBLEMS = 100
"""Where checking stops: nobody reads more at once."""
MAX_MESSAGE = 2000

Parts = tuple[str | int, ...]


class Enough(RmplugError):
    """As many problems were found as are shown at once."""


@dataclass(frozen=True)
class Place:
    """A value in a spec by its path; what is wrong anywhere is gathered in one list."""

    source: Source
    path: Parts
    problems: list[Problem]

    def at(self, *more: str | int) -> Place:
        """A place inside this one."""
        return Place(self.source, (*self.path, *more), self.problems)

    @property
    def value(self) -> Any:
        """What was written here; None if nothing was."""
        value: Any = self.source.data
        for part in self.path:
            if not _has(value, part):
                return None
            value = value[part]
        return value

    @property
    def is_written(self) -> bool:
        return not self.path or _has(Place(self.source, self.path[:-1], []).value, self.path[-1])

    @property
    def folder(self) -> Path:
        """Where a relative path that was written here starts from."""
        return self.source.base(self.path)

    def wrong(self, message: str, *, key: bool = False) -> None:
        """Note a problem with the value here (or with its key), once."""
        if len(message) > MAX_MESSAGE:
            message = message[: MAX_MESSAGE - 1] + "…"
        problem = self.source.problem(self.path, message, key=key)
        if problem not in self.problems:
            self.problems.append(problem)
        if len(self.problems) >= MAX_PROBLEMS:
            raise Enough

    def check_keys(self, known: Iterable[str]) -> None:
        """The mapping here has no other keys."""
        for key in self.value:
            if key not in known:
                self.at(key).wrong(f"unknown key{suggestion(key, known)}", key=True)


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to write instead of a name that is not known."""
    return did_you_mean(name, known) or f"; known: {', '.join(known)}"
