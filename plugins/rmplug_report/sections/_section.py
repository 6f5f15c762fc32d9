"""Parts of a section of the page: facts, tables, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rmplug_report.figures._render import Drawing, Numbers


@dataclass(frozen=True)
class Fact:
    """A number to be read at a glance."""

    label: str
    value: str
    aside: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page; ``bars`` names a column of shares that is drawn as bars."""

    caption: str
    numbers: Numbers
    folded: bool = False
    bars: str = ""


@dataclass
class Section:
    """A part of the page with its figures and tables; ``notes`` are findings in plain sentences."""

    id: str
    title: str
    lead: Sequence[str] = ()
    facts: Sequence[Fact] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
    legend: Sequence[tuple[str, str]] = ()
    parts: Sequence[Section] = field(default_factory=list)
    notes: Sequence[str] = ()
