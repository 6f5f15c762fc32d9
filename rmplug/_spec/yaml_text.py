"""The text of a YAML file: its lines, locations in it, and characters that nobody can see."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import NoReturn

from rmplug.errors import Problem, SpecError

MAX_BYTES = 4 * 1024 * 1024
TOO_LARGE = "larger than 4 MiB: keep data in files of its own and give their paths"

_INVISIBLE = re.compile("[\\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_SPACES = re.compile(
    r"""(?<!\w)(?:"(?:[^"\\]|\\[\s\S])*"?|'[^']*'?)|(?<!\S)\#.*|([\u00a0\u202f])"""
)
"""A no-break space as group 1; what is quoted or a comment is passed over."""

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """The location of a piece of text; line and column count from 1, width stays on the line."""

    file: str
    line: int
    column: int
    text: str
    width: int


def dotted(path: Sequence[str | int]) -> str:
    parts = (str(part) for part in path)
    return ".".join(part if part.isprintable() else repr(part)[1:-1] for part in parts)


class Text:
    """A text to read, and the folder that relative paths in it start from."""

    def __init__(self, file: str, folder: Path, text: str) -> None:
        self.file = file
        self.folder = folder
        self.text = text

    @cached_property
    def _lines(self) -> list[str]:
        return _INVISIBLE.sub("\ufffd", self.text).split("\n")

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((len(line) + 1 for line in self._lines[:-1]), initial=0))

    def mark(self, start: int, end: int) -> Mark:
        row = bisect_right(self._starts, start) - 1
        line, first = self._lines[row], self._starts[row]
        width = min(end, first + len(line)) - start
        return Mark(self.file, row + 1, start - first + 1, line, max(1, width))

    def problem(self, message: str, start: int, end: int, path: Sequence[str | int]) -> Problem:
        at = self.mark(start, end)
        return Problem(message, dotted(path), at.file, at.line, at.column, at.text, at.width)

    def refuse(self, message: str, start: int, end: int = 0, path: KeyPath = ()) -> NoReturn:
        raise SpecError([self.problem(message, start, end, path)])

    def check(self) -> None:
        """Refuse what is too long, and characters that nobody can see."""
        if len(self.text) > MAX_BYTES:
            raise SpecError([Problem(TOO_LARGE, file=self.file)])
        match = _INVISIBLE.search(self.text)
        if match:
            code = f"{ord(match[0]):04X}"
            advice = f"delete it, or write \\u{code} inside double quotes"
            self.refuse(f"invisible character U+{code}: {advice}", match.start())

    def line_end(self, offset: int) -> int:
        return self.text.find("\n", offset) % (len(self.text) + 1)

    def refuse_no_break(self, start: int, end: int) -> None:
        """Refuse the first no-break space outside quotes: it looks like a space and is none."""
        for match in _SPACES.finditer(self.text, start, end):
            if match[1]:
                advice = "use a normal space, or put quotes around the text"
                fault = f"no-break space U+{ord(match[1]):04X}: {advice}"
                self.refuse(fault, match.start(), match.end())
