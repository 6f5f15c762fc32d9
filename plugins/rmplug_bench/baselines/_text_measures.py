"""Measures of the texts of responses: their length, and their markdown marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Pairs, Responses, text_of
from rmplug_bench._arrays import Floats, Ints

FENCED = r"(?ms)^[ \t]*```.*?(?:^[ \t]*```[^\n]*$|\z)"
LINES = (
    (r"(?m)^[ \t]*#{1,6}(?:[ \t][^\n]*)?$", "#"),
    (r"(?m)^[ \t]*(?:[-*+•]|\d{1,9}[.)])(?:[ \t][^\n]*)?$", ""),
    (r"(?m)^[-:| \t]*(?:-[-: \t]*\||\|[|: \t]*-)[-:| \t]*$", "|"),
)
"""Headings, list items, table rules, and a text in each of them; not counted in fenced code."""
SPANS = (
    (r"`[^`\n]+`", "`"),
    (r"\*\*[^*\n]+\*\*", "**"),
    (r"\[[^\[\]\n]*\]\([^()\n]+\)", "]("),
)
"""Code, bold, links, and a text in each of them."""
BLOCK_ROWS = 1 << 14
"""Rows whose texts are held at a time."""


class TextCounts:
    """Counts of what is visible in each response of a data set, each computed once."""

    def __init__(self, data: Pairs | Responses) -> None:
        self.data = data
        self._counts: dict[tuple[str, str], Floats] = {}

    def characters(self, side: str) -> Floats:
        """Count the Unicode code points of each response."""
        return self._counted(side, "characters", lambda texts: np.asarray(pc.utf8_length(texts)))

    def markdown_marks(self, side: str) -> Floats:
        """Count headings, list items, code, bold, tables and links of each response."""
        return self._counted(side, "markdown", _marks)

    def _counted(self, side: str, what: str, count: Callable[[pa.Array], Ints]) -> Floats:
        if (side, what) not in self._counts:
            counts = [count(texts).astype(np.float64) for texts in text_blocks(self.data, side)]
            self._counts[side, what] = np.concatenate([np.empty(0), *counts])
        return self._counts[side, what]


def text_blocks(data: Pairs | Responses, side: str) -> Iterator[pa.Array]:
    """Yield the texts of the responses, at most ``BLOCK_ROWS`` at a time; a null is empty."""
    for column in data.chunks(side):
        for start in range(0, len(column), BLOCK_ROWS):
            yield pc.fill_null(text_of(column.slice(start, BLOCK_ROWS)), "")


def _marks(texts: pa.Array) -> Ints:
    counts = np.zeros(len(texts), dtype=np.int64)
    fenced = _matches(texts, FENCED, "```")
    counts += fenced
    for pattern, character in SPANS:
        counts += _matches(texts, pattern, character)
    if fenced.any():
        texts = pc.replace_substring_regex(texts, FENCED, "")
    for pattern, character in LINES:
        counts += _matches(texts, pattern, character)
    return counts


def _matches(texts: pa.Array, pattern: str, character: str) -> Ints:
    """Count a pattern in each text; only texts that contain ``character`` are searched."""
    if not character:
        return np.asarray(pc.count_substring_regex(texts, pattern)).astype(np.int64)
    counts = np.zeros(len(texts), dtype=np.int64)
    rows = np.flatnonzero(np.asarray(pc.match_substring(texts, character)))
    matches = pc.count_substring_regex(texts.take(pa.array(rows)), pattern)
    counts[rows] = np.asarray(matches)
    return counts
