"""Markdown: marks added to prose or taken away, with every word as it was; code stays."""

from __future__ import annotations

import re
from random import Random

from .checked import Layout, lost, reworded
from .perturbation import Perturbation, Row, Texts
from .texts import (
    FENCES,
    FIXED,
    Span,
    change_outside,
    draw,
    find_outside,
    fullest_line,
    inside,
    lines,
    prose,
    replace_spans,
)

_LONG_WORD = re.compile(r"(?<![\w*_'’-])[^\W\d_]{5,}(?![\w*_'’-])")
_MARKS = (
    (re.compile(r"^[ \t]*(?:[-*_][ \t]*){3,}$\n?", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*#{1,6}[ \t]+(?=\S)", re.MULTILINE), ""),
    (re.compile(r"^([ \t]*)[-*+•][ \t]+(?=\S)", re.MULTILINE), r"\1"),
    (re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE), ""),
    (re.compile(r"(\*\*\*|\*\*|___|__)(?=\S)(.{1,500}?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,500})(?<=[^\s*])\*(?![\w*])"), r"\1"),
)


_TABLE = re.compile(r"^[ \t]*\|.*\|[ \t]*$(?:\n[ \t]*\|.*\|[ \t]*$)+", re.MULTILINE)
_RULE_OF_TABLE = re.compile(r"[ \t|:-]+$")
_FENCE_LINE = re.compile(r"^[ \t]*(?:```|~~~).*$\n?", re.MULTILINE)


class Headings(Perturbation):
    """Put headings over paragraphs, and over sentences where there are not enough of these.

    The dose is the number of headings.
    """

    name = "headings"
    theme = "markdown"
    intention = "keeps"
    doses = (1, 2, 4)
    english = True

    titles: Texts = ("Answer", "Overview", "Details", "Notes", "Further points", "In short")
    """The headings to draw from."""

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        text, found = row.response, prose(row.response)
        firsts = [line.sentences[0].start for line in found]
        later = [sentence.start for line in found for sentence in line.sentences[1:]]
        places = draw(firsts, len(firsts), random) or []
        places += draw(later, len(later), random) or []
        if len(places) < dose:
            return None
        order = draw(self.titles, len(self.titles), random) or []
        titles = (order * dose)[:dose]
        return replace_spans(
            text,
            [(_before(text, p), _block(text, p, t)) for p, t in zip(places, titles, strict=False)],
        )

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return lost(before, after)


def _before(text: str, place: int) -> Span:
    """Return the space in front of a place."""
    return Span(len(text[:place].rstrip()), place)


def _block(text: str, place: int, title: str) -> str:
    return f"{chr(10) * 2 if text[:place].strip() else ''}## {title}\n\n"


class Bullets(Layout):
    """Make items of a list of the last sentences of a line; the dose is their number."""

    name = "bullets"
    theme = "markdown"
    intention = "keeps"
    doses = (1, 2, 4)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        line = fullest_line(row.response)
        if line is None or len(line.sentences) < dose:
            return None
        items = line.sentences[-dose:]
        listed = "\n".join(f"- {row.response[start:end]}" for start, end in items)
        return _replace_block(row.response, Span(items[0].start, line.span.end), listed)


class Table(Perturbation):
    """Put the sentences of a line into a table, one in each row, numbered."""

    name = "table"
    theme = "markdown"
    intention = "keeps"
    english = True

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        line = fullest_line(row.response)
        said = [row.response[start:end] for start, end in line.sentences] if line else []
        if line is None or len(said) < 2 or any("|" in sentence for sentence in said):
            return None
        rows = [f"| {number} | {text} |" for number, text in enumerate(said, 1)]
        table = "\n".join(["| No. | Point |", "| --- | --- |", *rows])
        return _replace_block(row.response, Span(line.sentences[0].start, line.span.end), table)

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return lost(before, after)


def _replace_block(text: str, span: Span, block: str) -> str:
    """Replace a part of a text by a block with blank lines around it."""
    head, tail = text[: span.start].rstrip(), text[span.end :]
    between = "\n\n" if head else ""
    return f"{head}{between}{block}{chr(10) * 2 + tail.lstrip() if tail.strip() else tail}"


class Bold(Layout):
    """Set words of five letters or more in bold; the dose is their number."""

    name = "bold"
    theme = "markdown"
    intention = "keeps"
    doses = (1, 2, 4)

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        text = row.response
        plain = [span for span, is_plain in lines(text) if is_plain]
        words = inside(find_outside(text, FIXED, _LONG_WORD), plain)
        drawn = draw(words, dose, random)
        if drawn is None:
            return None
        return replace_spans(text, [(word, f"**{text[slice(*word)]}**") for word in drawn])


class CodeFence(Perturbation):
    """Put the last line of prose between the fences of a block of code."""

    name = "code-fence"
    theme = "markdown"
    intention = "keeps"

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        found = prose(row.response)
        if not found:
            return None
        span = found[-1].span
        return _replace_block(row.response, span, f"```\n{row.response[slice(*span)].strip()}\n```")

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return reworded(before, after)


class WithoutMarkdown(Layout):
    """Take away the marks of headings, items of lists, quotations, rules, bold and italic text.
    Tables, links, numbers of lists and code stay."""

    name = "without-markdown"
    theme = "markdown"
    intention = "keeps"

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        return change_outside(row.response, FENCES, _strip_marks)


def _strip_marks(text: str) -> str:
    for pattern, plain in _MARKS:
        text = pattern.sub(plain, text)
    return text


class WithoutTables(Layout):
    """Write the rows of tables as lines, with commas between their cells."""

    name = "without-tables"
    theme = "markdown"
    intention = "keeps"

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        return change_outside(row.response, FENCES, lambda text: _TABLE.sub(_as_lines, text))


def _as_lines(table: re.Match[str]) -> str:
    rows = [line for line in table[0].split("\n") if not _RULE_OF_TABLE.match(line)]
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in rows]
    return "\n".join(", ".join(filter(None, row)) for row in cells)


class WithoutFences(Perturbation):
    """Take away the fences of blocks of code, with the name of the language behind them; the code
    itself stays."""

    name = "without-fences"
    theme = "markdown"
    intention = "keeps"

    def edit(self, row: Row, dose: int, random: Random) -> str | None:
        return FENCES.sub(_code_alone, row.response)

    def fault(self, before: str, after: str, dose: int) -> str | None:
        return reworded(_FENCE_LINE.sub("", before), after)


def _code_alone(block: re.Match[str]) -> str:
    lines = block[0].split("\n")[1:]
    return "\n".join(lines[:-1] if lines and _FENCE_LINE.match(lines[-1]) else lines)
