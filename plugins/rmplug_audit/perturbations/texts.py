"""The structure of a response's text: code that is never touched, plain lines, sentences, words.

Positions are indices of characters (Unicode code points) in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")

_FENCED = r"^[ \t]*(?P<fence>```|~~~)(?:.|\n)*?(?:^[ \t]*(?P=fence)[ \t]*$|\Z)"
FENCES = re.compile(_FENCED, re.MULTILINE)
"""Blocks of code between fences; one without an end goes to the end of the text."""
# what is between two marks is bounded: a search for ends that are not there would take for ever
FIXED = re.compile(
    _FENCED + r"|`[^`\n]{1,1000}`|\$\$[^$]{1,2000}\$\$|\$[^$\s][^$\n]{0,500}\$"
    r"|\\\((?:[^\\\n]|\\[^()\n]){1,500}+\\\)|\\\[(?:[^\\]|\\[^\[\]]){1,2000}+\\\]"
    r"|\b(?:https?://|www\.)\S+|\b[\w.+-]{1,64}@[\w-]{1,64}\.\w+|<[^<>\n]{1,200}>",
    re.MULTILINE,
)
"""What a change of words leaves alone: code, formulas, addresses and tags."""
_STRUCTURED = re.compile(r"[ \t]*(?:#{1,6}[ \t]|[-*+•][ \t]|\d+[.)][ \t]|\||>|[-*_=]{3,}[ \t]*$)")
_SENTENCE_END = re.compile(
    r"(?<![.!?…])[.!?…]++[\"')\]”’*_]*+(?=[ \t]+\S|[ \t]*$)|[。！？]+[”’」』）]*"
)
_ABBREVIATION = re.compile(
    r"(?<![\w.])(?:e\.g|i\.e|Mr|Mrs|Ms|Dr|Prof|St|vs|No|approx|cf|Jr|Sr|Inc|[A-Z]|\d+)\.$"
)
WORD = re.compile(r"\w+")
LETTERS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


class Span(NamedTuple):
    """A part of a text: where it starts (included) and ends (excluded)."""

    start: int
    end: int


class Line(NamedTuple):
    """A line of plain prose that ends as a sentence does, and its sentences."""

    span: Span
    sentences: tuple[Span, ...]


def outside(text: str, left_out: re.Pattern[str]) -> Iterator[Span]:
    """Yield the parts of a text between what a pattern finds."""
    start = 0
    for found in left_out.finditer(text):
        if found.start() > start:
            yield Span(start, found.start())
        start = found.end()
    if start < len(text):
        yield Span(start, len(text))


def change_outside(text: str, left_out: re.Pattern[str], change: Callable[[str], str]) -> str:
    """Change the parts of a text between what a pattern finds."""
    pieces, end = [], 0
    for span in outside(text, left_out):
        pieces += [text[end : span.start], change(text[span.start : span.end])]
        end = span.end
    return "".join([*pieces, text[end:]])


def find_outside(text: str, left_out: re.Pattern[str], wanted: re.Pattern[str]) -> list[Span]:
    """Find a pattern in the parts of a text between what another finds."""
    spans = []
    for start, end in outside(text, left_out):
        spans += [Span(found.start(), found.end()) for found in wanted.finditer(text, start, end)]
    return spans


def lines(text: str) -> Iterator[tuple[Span, bool]]:
    """Yield each line without its line break, and whether it is plain prose: not blank, no code,
    heading, item of a list, table, quotation or rule."""
    code = [Span(found.start(), found.end()) for found in FENCES.finditer(text)]
    start, starts = 0, [span.start for span in code]
    for line in text.split("\n"):
        end = start + len(line)
        before = bisect_right(starts, start)
        fenced = before > 0 and start < code[before - 1].end
        plain = bool(line.strip()) and not fenced and not _STRUCTURED.match(line)
        yield Span(start, end), plain
        start = end + 1


def inside(found: Iterable[Span], wholes: Sequence[Span]) -> list[Span]:
    """Return the spans that start inside one of others, which do not overlap and are in order."""
    starts = [whole.start for whole in wholes]
    places = ((span, bisect_right(starts, span.start) - 1) for span in found)
    return [span for span, place in places if place >= 0 and span.start < wholes[place].end]


@lru_cache(maxsize=8)
def prose(text: str) -> tuple[Line, ...]:
    """Return the lines of plain prose that end as a sentence does. A line that is cut off, or that
    introduces what follows (``Steps:``), has no sentences that could be moved."""
    found = []
    for span, plain in lines(text):
        said = tuple(_sentences(text, span)) if plain else ()
        if said and not text[said[-1].end : span.end].strip():
            found.append(Line(span, said))
    return tuple(found)


def _sentences(text: str, line: Span) -> Iterator[Span]:
    start = _skip_spaces(text, line.start, line.end)
    for mark in _SENTENCE_END.finditer(text, line.start, line.end):
        following = _skip_spaces(text, mark.end(), line.end)
        last = text[max(start, mark.end() - 12) : mark.end()]
        inside = text[following : following + 1].islower() or _ABBREVIATION.search(last)
        if mark.start() > start and (following == line.end or not inside):
            yield Span(start, mark.end())
            start = following


def _skip_spaces(text: str, start: int, end: int) -> int:
    while start < end and text[start].isspace():
        start += 1
    return start


def sentences(text: str) -> list[Span]:
    """Return the sentences of plain prose, in order."""
    return [sentence for line in prose(text) for sentence in line.sentences]


def gaps(text: str) -> list[Span]:
    """Return the space between two sentences of one line, in order."""
    return [
        Span(one.end, other.start)
        for line in prose(text)
        for one, other in pairwise(line.sentences)
    ]


def fullest_line(text: str) -> Line | None:
    """Return the first of the lines with the most sentences."""
    return max(prose(text), key=lambda line: len(line.sentences), default=None)


def replace_spans(text: str, replacements: Iterable[tuple[Span, str]]) -> str:
    """Return the text with spans replaced that do not overlap; an empty span is an insertion, and
    several at one position stay in their order."""
    pieces, end = [], 0
    for span, new in sorted(replacements, key=lambda replacement: replacement[0]):
        pieces += [text[end : span.start], new]
        end = span.end
    return "".join([*pieces, text[end:]])


def draw(values: Iterable[T], count: int, random: Random) -> list[T] | None:
    """Draw some of the values without replacement, or None where there are fewer. Drawn with the
    same ``random``, fewer are the first of more."""
    shuffled = list(values)
    random.shuffle(shuffled)
    return shuffled[:count] if len(shuffled) >= count else None


def put_before(phrase: str, text: str) -> str:
    """Put a phrase in front of a text: on its first line, or as a paragraph before a heading, a
    list or code."""
    body = text.lstrip()
    head = text[: len(text) - len(body)]
    _, plain = next(lines(body))
    return f"{head}{phrase}{' ' if plain else chr(10) * 2}{body}"


def put_behind(phrase: str, text: str) -> str:
    """Put a phrase behind a text: after its last sentence, or as a paragraph of its own where the
    text does not end with one."""
    body = text.rstrip()
    ended = any(line.span.end == len(body) for line in prose(body))
    return f"{body}{' ' if ended else chr(10) * 2}{phrase}{text[len(body) :]}"
