"""A row as it stands in a file, and its possible faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rmplug.data.files import DataFile


@dataclass(slots=True)
class Row:
    """One row of a file: where it stands, and its values."""

    file: DataFile
    line: int | None
    """Its first line, from 1; None where it has none (Parquet, columns in JSON, the hub)."""
    number: int
    """Its number among the rows of the file, from 1."""
    value: dict[str, Any]
    """Its values by column name."""
    size: int = 0
    """About how many bytes it has."""
    typed: bool = True
    """False where every value is text (CSV)."""
    repaired: bool = False
    """True where halves of surrogate pairs were replaced."""

    @property
    def location(self) -> str:
        """``line <line> of <file name>``, or ``row <number> of <file name>`` where there are no
        lines, for messages."""
        place = f"row {self.number}" if self.line is None else f"line {self.line}"
        return f"{place} of {self.file.name}"

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
