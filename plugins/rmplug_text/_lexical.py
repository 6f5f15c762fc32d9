"""Lexical measures of texts, computed over one flat array of code points for many texts at once."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import text_of
from rmplug.arrays import Array

from ._characters import (
    ARABIC,
    CJK,
    CYRILLIC,
    DIGIT,
    LATIN,
    LETTER,
    PUNCTUATION,
    SPACE,
)
from ._code_points import TEXT_BITS, CodePoints, among, hashes_of
from ._lexicon import count_phrases
from ._text_lines import TextLines

BLOCK_TEXTS = 1 << 12
BLOCK_CHARACTERS = (1 << 18) - 2 * BLOCK_TEXTS
TERMINATORS = ".!?…"
WIDE_TERMINATORS = "。！？"
CLOSING = "\"')]}”’»*_`」』）"
SPANS = {
    "code": ("`", r"`[^`\n]+`"),
    "bold": ("*", r"\*\*[^*\n]+\*\*"),
    "links": ("]", r"\[[^\[\]\n]*\]\([^()\n]+\)"),
}
"""Marks inside a line: a character that every such mark has, and the pattern that counts them."""


class Texts(CodePoints):
    """Texts with their lines and phrases."""

    @cached_property
    def lines(self) -> TextLines:
        return TextLines.of(self)

    @cached_property
    def phrases(self) -> Mapping[str, Array]:
        """The number of occurrences of each list's phrases in each text."""
        return count_phrases(self)


def _share(part: Array, whole: Array) -> Array:
    """Return ``part / whole``, and 0 where ``whole`` is 0."""
    return part / np.maximum(whole, 1)


def _sentences(texts: Texts) -> Array:
    positions, codes = texts.punctuation
    mark = np.flatnonzero(among(codes, TERMINATORS))
    behind = positions[mark] + 1
    closed = (texts.classes[behind] == SPACE) | among(texts.codes[behind], CLOSING)
    starts = texts.tokens[0]
    begins = np.zeros(len(starts) + 1, dtype=bool)
    for ends in (positions[mark[closed]], texts.marks(WIDE_TERMINATORS), texts.line_breaks):
        begins[np.searchsorted(starts, ends)] = True
    return texts.per_text(starts[begins[:-1]])


def _type_token_ratio(texts: Texts) -> Array:
    keys = texts.keys
    distinct = np.zeros(len(keys) + 1, dtype=np.int64)
    distinct[1:2] = 1
    np.cumsum(keys[1:] != keys[:-1], out=distinct[2:])
    distinct[2:] += 1
    ends = np.concatenate([[0], np.cumsum(texts.token_counts)])
    return _share(np.diff(distinct[ends]), texts.token_counts)


def _urls(texts: Texts) -> Array:
    """Count tokens http and https before ``://``, and www before a dot and not after a slash."""
    colons = texts.marks(":")
    colons = colons[texts.codes[colons + 1] == ord("/")]
    colons = colons[texts.codes[colons + 2] == ord("/")]
    schemes = _ending_at(texts, colons, "http https")
    sites = _ending_at(texts, texts.marks("."), "www")
    sites = sites[texts.codes[sites - 1] != ord("/")]
    return texts.per_text(schemes) + texts.per_text(sites)


def _ending_at(texts: Texts, positions: Array, names: str) -> Array:
    """Return the starts of the tokens in ``names`` that end at one of ``positions``."""
    starts, ends = texts.tokens
    if not len(ends) or not len(positions):
        return positions[:0]
    token = np.minimum(np.searchsorted(ends, positions), len(ends) - 1)
    token = token[ends[token] == positions]
    return np.asarray(starts[token[np.isin(texts.hashes[token], _hashes(names))]])


@lru_cache(maxsize=2)
def _hashes(names: str) -> Array:
    return hashes_of(names)


def _spans(texts: Texts, name: str) -> Array:
    """Count marks inside lines, searched only in texts with their character."""
    character, pattern = SPANS[name]
    counts = np.zeros(texts.count, dtype=np.int64)
    likely = np.flatnonzero(texts.per_text(texts.marks(character)))
    if len(likely):
        counts[likely] = pc.count_substring_regex(texts.texts.take(likely), pattern)
    return counts


def _code(texts: Texts) -> Array:
    fences = texts.per_text(texts.lines.fences)
    return (fences + 1) // 2 + _spans(texts, "code")


def _average_word_length(texts: Texts) -> Array:
    return _share(texts.word_characters, texts.word_counts)


def _script(texts: Texts, letter: int) -> Array:
    counts = texts.class_counts
    return _share(counts[:, letter], counts[:, LATIN : LETTER + 1].sum(axis=1))


def _compression(texts: Texts) -> Array:
    whole = [text.encode() for text in texts.texts.to_pylist()]
    return np.array([len(zlib.compress(text)) / len(text) if text else 0.0 for text in whole])


MARKDOWN: dict[str, Callable[[Texts], Array]] = {
    "headings": lambda texts: texts.lines.headings(texts),
    "bullets": lambda texts: texts.lines.bullets(texts),
    "numbered": lambda texts: texts.lines.numbered(texts),
    "code": _code,
    "bold": lambda texts: _spans(texts, "bold"),
    "tables": lambda texts: texts.lines.tables(texts),
    "links": lambda texts: _spans(texts, "links"),
}
MEASURES: dict[str, Callable[[Texts], Array]] = {
    "characters": lambda texts: texts.lengths,
    "words": lambda texts: texts.word_counts,
    "sentences": _sentences,
    "average_word_length": _average_word_length,
    "type_token_ratio": _type_token_ratio,
    **MARKDOWN,
    "digits": lambda texts: texts.class_counts[:, DIGIT],
    "punctuation": lambda texts: texts.class_counts[:, PUNCTUATION],
    "urls": _urls,
    "questions": lambda texts: texts.per_text(texts.marks("?？؟")),
    "exclamations": lambda texts: texts.per_text(texts.marks("!！")),
    "refusals": lambda texts: texts.phrases["refusals"],
    "hedges": lambda texts: texts.phrases["hedges"],
    "first_person": lambda texts: texts.phrases["first_person"],
    "flattery": lambda texts: texts.phrases["flattery"],
    "latin": lambda texts: _script(texts, LATIN),
    "cjk": lambda texts: _script(texts, CJK),
    "cyrillic": lambda texts: _script(texts, CYRILLIC),
    "arabic": lambda texts: _script(texts, ARABIC),
    "other_script": lambda texts: _script(texts, LETTER),
    "compression": _compression,
}


def measure_texts(texts: pa.Array, measures: Sequence[str]) -> dict[str, Array]:
    """Return each measure of each text, as float64; ``overlap`` is left out."""
    return measure_sides([texts], measures)[0]


def measure_sides(sides: Sequence[pa.Array], measures: Sequence[str]) -> list[dict[str, Array]]:
    """Return each measure of each text of each side; ``overlap`` with the first side."""
    texts = [pc.fill_null(side, "") for side in sides]
    count = len(texts[0])
    whole = [{name: np.zeros(count) for name in measures} for _ in texts]
    for start, stop in _blocks(texts):
        block = [side.slice(start, stop - start) for side in texts]
        for side, measured in zip(whole, _measure_block(block, measures), strict=True):
            for name, values in measured.items():
                side[name][start:stop] = values
    return whole


def _blocks(sides: Sequence[pa.Array]) -> Iterator[tuple[int, int]]:
    """Yield ranges of one row, or of so many characters that a numpy call costs little."""
    size = sum(pc.binary_length(side).to_numpy().astype(np.int64) for side in sides)
    ends = np.cumsum(size)
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, before + BLOCK_CHARACTERS, side="right"))
        stop = max(start + 1, min(stop, start + BLOCK_TEXTS // len(sides)))
        yield start, stop
        start = stop


def _measure_block(sides: Sequence[pa.Array], measures: Sequence[str]) -> list[dict[str, Array]]:
    texts, rows = Texts(pa.concat_arrays(sides)), len(sides[0])
    values = {name: MEASURES[name](texts) for name in measures if name in MEASURES}
    if "markdown" in measures:
        marks = [
            values[name] if name in values else count(texts) for name, count in MARKDOWN.items()
        ]
        values["markdown"] = np.sum(marks, axis=0)
    parts = [
        {name: column[side * rows : (side + 1) * rows] for name, column in values.items()}
        for side in range(len(sides))
    ]
    if "overlap" in measures:
        for side in range(1, len(sides)):
            parts[side]["overlap"] = _overlap(texts, rows, side)
    return parts


def _overlap(texts: Texts, rows: int, side: int) -> Array:
    """Return the share of a text's tokens that the text of the same row on side 0 has."""
    ends = np.concatenate([[0], np.cumsum(texts.token_counts)])
    reference = texts.keys[: ends[rows]]
    own = texts.keys[ends[side * rows] : ends[(side + 1) * rows]]
    own = own - np.uint64(side * rows << TEXT_BITS)
    padded = np.append(reference, ~np.uint64(0))
    shared = own[padded[np.searchsorted(reference, own)] == own]
    counts = np.bincount((shared >> np.uint64(TEXT_BITS)).astype(np.int64), minlength=rows)
    return _share(counts, texts.token_counts[side * rows : (side + 1) * rows])


@dataclass(frozen=True)
class Measure:
    """The row-wise measures of a batch's texts, by ``columns`` (name, side, measure)."""

    responses: tuple[str, ...]
    measures: tuple[str, ...]
    columns: tuple[tuple[str, str, str], ...]

    def __call__(self, batch: pa.RecordBatch) -> dict[str, Array]:
        names = ("prompt", *self.responses)
        sides = measure_sides([text_of(batch.column(name)) for name in names], self.measures)
        measured = dict(zip(names, sides, strict=True))
        return {column: self._value(measured, side, name) for column, side, name in self.columns}

    def _value(self, measured: dict[str, dict[str, Array]], side: str, name: str) -> Array:
        if side == "difference":
            return measured["chosen"][name] - measured["rejected"][name]
        return measured[side][name]
