"""A row as it stands in a file, and its possible faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rmplug.data.files import DataFile


@dataclass(slots=True)
class Row:
    """One row of a file: its first line and its number there (both from 1), its values by column
    name, and about how many bytes it has. ``typed`` is false where every value is text (CSV);
    ``repaired`` says that halves of surrogate pairs were replaced."""

    file: DataFile
    line: int
    number: int
    value: dict[str, Any]
    size: int = 0
    typed: bool = True
    repaired: bool = False

    @property
    def location(self) -> str:
        """``line <line> of <file name>``, for messages."""
        return f"line {self.line} of {self.file.name}"

    @property
    def default_id(self) -> str:
        """``<file name>:<row number>``, the id of a row that brings none: headers, empty lines and
        further lines of a row do not count."""
        return f"{self.file.name}:{self.number}"


@dataclass(slots=True)
class UnreadableRow:
    """A line that could not be parsed as a row: its location, and the reason."""

    file: DataFile
    line: int
    reason: str
    detail: str = ""

    @property
    def location(self) -> str:
        """``line <line> of <file name>``, for messages."""
        return f"line {self.line} of {self.file.name}"
