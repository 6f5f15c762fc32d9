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
    """A table of the page; ``bars`` names a column of shares that is drawn as bars, ``badges`` the
    columns of grades."""

    caption: str
    numbers: Numbers
    folded: bool = False
    bars: str = ""
    badges: Sequence[str] = ()


@dataclass(frozen=True)
class Token:
    """One token of a text that is shown with its changes: its text, how many line breaks it has,
    the size of its change (0 to 1) and whether it rises, and what is told of it."""

    text: str
    breaks: int
    share: float
    rises: bool
    hint: str
    mark: str
    begins: bool


@dataclass(frozen=True)
class Reading:
    """A text, token by token, below a line of values: its corners, where the response begins, and
    the lowest and the highest value in words."""

    title: str
    note: str
    line: str
    begins_at: float
    low: str
    high: str
    tokens: Sequence[Token]


@dataclass(frozen=True)
class ReadExample:
    """An example of a training as the model reads it: the title and the text of each side."""

    texts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Side:
    """One of two texts that are compared, in pieces, each with whether the other lacks it."""

    title: str
    value: str
    pieces: Sequence[tuple[str, bool]]


@dataclass(frozen=True)
class TextComparison:
    """A text beside a changed copy of it, below what both answer."""

    title: str
    note: str
    prompt: str
    before: Side
    after: Side


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
    readings: Sequence[Reading] = ()
    examples: Sequence[ReadExample] = ()
    comparisons: Sequence[TextComparison] = ()
