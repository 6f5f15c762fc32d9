"""A location in a spec: the value written there, and its problems."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmplug.errors import Problem, RmplugError, closest, did_you_mean

from .source import Source

MAX_PROBLEMS = 100
"""The number of problems at which checking stops: nobody reads more at once."""
MAX_MESSAGE = 2000

Parts = tuple[str | int, ...]


class Problems(list[Problem]):
    """The problems of a spec, and the keys for which misspelt ones stand: these are not reported as
    missing, so that one mistake is reported once."""

    def __init__(self) -> None:
        super().__init__()
        self.meant: set[tuple[str, Parts]] = set()


class Enough(RmplugError):
    """The signal that as many problems were noted as are shown at once."""


@dataclass(frozen=True)
class Location:
    """A value in a spec by its path; what is wrong anywhere is gathered in one list."""

    source: Source
    path: Parts
    problems: Problems

    def at(self, *more: str | int) -> Location:
        """Go to a location inside this one."""
        return Location(self.source, (*self.path, *more), self.problems)

    @property
    def value(self) -> Any:
        """The value written here; None if there is none."""
        value: Any = self.source.data
        for part in self.path:
            if not _has(value, part):
                return None
            value = value[part]
        return value

    @property
    def is_written(self) -> bool:
        whole = Location(self.source, self.path[:-1], self.problems)
        return not self.path or _has(whole.value, self.path[-1])

    @property
    def folder(self) -> Path:
        """The folder from which a relative path that was written here starts."""
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

    def check_keys(self, allowed: Iterable[str]) -> None:
        """Note each unknown key of the mapping here."""
        for key in self.value:
            if key not in allowed:
                self.at(key).unknown(f"unknown key{suggestion(key, allowed)}", allowed)

    def unknown(self, message: str, allowed: Iterable[str], *, key: bool = True) -> None:
        """Note that the key here is unknown; the known one that it stands for is not reported as
        missing."""
        meant = closest(str(self.path[-1]), allowed)
        self.problems.meant.add((self.source.file, (*self.path[:-1], meant)))
        self.wrong(message, key=key)

    def missing(self, message: str) -> None:
        """Note that nothing is written here, unless it is written under a misspelt key."""
        paths = (self.path[:length] for length in range(1, len(self.path) + 1))
        if not any((self.source.file, path) in self.problems.meant for path in paths):
            self.wrong(message, key=True)


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def suggestion(name: str, allowed: Iterable[str]) -> str:
    """Suggest what to write instead of an unknown name."""
    return did_you_mean(name, allowed) or f"; known: {', '.join(allowed)}"
