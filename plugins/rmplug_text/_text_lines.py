"""Lines of texts by their markdown: headings, items of lists, tables, fenced code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmplug.arrays import Array

from ._characters import (
    SPACE,
)
from ._code_points import CodePoints, among

BULLETS = "-*+•"


@dataclass(frozen=True)
class TextLines:
    """The lines with at least one word that are not in a fenced code block, and the fences."""

    starts: Array
    ends: Array
    words: Array
    word_ends: Array
    fences: Array

    @classmethod
    def of(cls, texts: CodePoints) -> TextLines:
        breaks = texts.line_breaks
        starts, ends = breaks[:-1] + 1, breaks[1:]
        word_starts, word_ends = texts.words
        before = np.searchsorted(word_starts, breaks)
        filled = np.flatnonzero(before[1:] > before[:-1])
        first = before[filled]
        line = np.stack([starts[filled], ends[filled], word_starts[first], word_ends[first]])
        fence = _starts_with_fence(texts.codes, line[2], line[3])
        kept = line[:, ~(_fenced(texts, line[0], fence) | fence)]
        return cls(kept[0], kept[1], kept[2], kept[3], line[0][fence])

    def headings(self, texts: CodePoints) -> Array:
        size = self.word_ends - self.words
        line = np.flatnonzero((texts.codes[self.words] == ord("#")) & (size <= 6))
        signs = _within(texts.marks("#"), self.words[line], self.word_ends[line])
        return texts.per_text(self.starts[line[signs == size[line]]])

    def bullets(self, texts: CodePoints) -> Array:
        bullet = among(texts.codes[self.words], BULLETS)
        return texts.per_text(self.starts[bullet & (self.word_ends - self.words == 1)])

    def numbered(self, texts: CodePoints) -> Array:
        size = self.word_ends - self.words
        last = texts.codes[self.word_ends - 1]
        line = np.flatnonzero((size > 1) & (size <= 10) & ((last == ord(".")) | (last == ord(")"))))
        inside = _within(texts.digits, self.words[line], self.word_ends[line])
        return texts.per_text(self.starts[line[inside == size[line] - 1]])

    def tables(self, texts: CodePoints) -> Array:
        pipes, dashes = texts.marks("|"), texts.marks("-")
        line = np.flatnonzero(
            (_within(pipes, self.starts, self.ends) > 0)
            & (_within(dashes, self.starts, self.ends) > 0)
        )
        if not len(line):
            return np.zeros(texts.count)
        starts, ends = self.starts[line], self.ends[line]
        frame = _within(texts.marks("|-:"), starts, ends)
        solid = np.concatenate([[0], np.cumsum(texts.classes != SPACE)])
        return texts.per_text(self.starts[line[frame == solid[ends] - solid[starts]]])


def _within(positions: Array, starts: Array, ends: Array) -> Array:
    """Count the (sorted) positions in each range."""
    return np.searchsorted(positions, ends) - np.searchsorted(positions, starts)


def _starts_with_fence(codes: Array, starts: Array, ends: Array) -> Array:
    fence: Array = (codes[starts] == ord("`")) & (ends - starts >= 3)
    candidates = starts[fence]
    fence[fence] = (codes[candidates + 1] == ord("`")) & (codes[candidates + 2] == ord("`"))
    return fence


def _fenced(texts: CodePoints, starts: Array, fence: Array) -> Array:
    """Return a mask of lines after an odd number of fences of their text."""
    if not fence.any():
        return np.zeros(len(starts), dtype=bool)
    before = np.cumsum(fence) - fence
    earlier = np.concatenate([[0], np.cumsum(texts.per_text(starts[fence]))])
    text = np.searchsorted(texts.bounds, starts, side="right") - 1
    return np.asarray((before - earlier[text]) % 2 == 1)
