"""Spacing: paragraphs, blank lines and spaces, with every word as it was."""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random

from .checked import Layout
from .perturbation import Row
from .texts import FENCES, Span, change_outside, draw, gaps, lines, replace_spans

_BREAKS = re.compile(r"\n[ \t]*\n")


class Paragraphs(Layout):
    """Begin a new paragraph after sentences; the dose is the number of new paragraphs."""

    name = "paragraphs"
    theme = "spacing"
    intention = "keeps"
    doses = (1, 2, 4)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        places = draw(gaps(row.response), dose, random)
        if places is None:
            return None
        return replace_spans(row.response, [(gap, "\n\n") for gap in places])


class BlankLines(Layout):
    """Put more blank lines between paragraphs; the dose is the number of lines at each place."""

    name = "blank-lines"
    theme = "spacing"
    intention = "keeps"
    doses = (1, 2, 4)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        wider = "\n" * (dose + 2)
        return change_outside(row.response, FENCES, lambda text: _BREAKS.sub(wider, text))


class TrailingLines(Layout):
    """Put blank lines at the end; the dose is their number."""

    name = "trailing-lines"
    theme = "spacing"
    intention = "keeps"
    doses = (1, 2, 4)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        return row.response + "\n" * dose


class DoubleSpaces(Layout):
    """Put one more space after sentences; the dose is the number of sentences."""

    name = "double-spaces"
    theme = "spacing"
    intention = "keeps"
    doses = (1, 2, 4)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        places = draw(gaps(row.response), dose, random)
        ends = [Span(end, end) for _, end in places or ()]
        return replace_spans(row.response, [(end, " ") for end in ends]) if ends else None


class OneParagraph(Layout):
    """Put paragraphs of prose on one line; lists, headings, tables and code stay where they
    are."""

    name = "one-paragraph"
    theme = "spacing"
    intention = "keeps"

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        plain = [span for span, is_plain in lines(row.response) if is_plain]
        joined = [
            (Span(one.end, other.start), " ")
            for one, other in pairwise(plain)
            if not row.response[one.end : other.start].strip()
        ]
        return replace_spans(row.response, joined) if joined else None
