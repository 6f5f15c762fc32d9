"""A row as it stands in a file, and what can be wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Row:
    """One row as it stands in a file. ``typed`` is false where every value is text (CSV)."""

    file: str
    line: int
    number: int
    value: dict[str, Any]
    size: int = 0
    typed: bool = True
    repaired: bool = False

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Unreadable:
    """A row that is none: where it stands, what kind of damage it has, and the details."""

    file: str
    line: int
    reason: str
    detail: str = ""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


class Damage(ValueError):
    """Why a line is not a row."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(reason)


def without_surrogates(text: str) -> str:
    """The text with each half of a surrogate pair replaced by U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)
