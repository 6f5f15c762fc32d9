"""Lexical measures of texts, computed over one flat array of code points for many texts at once."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b

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
    NUMBER,
    OTHER,
    PUNCTUATION,
    SPACE,
    alphabet,
)
from ._phrases import OPENING, PHRASES

BLOCK_TEXTS = 1 << 12
BLOCK_CHARACTERS = (1 << 18) - 2 * BLOCK_TEXTS
TEXT_BITS = 50
FACTOR = 0x9E3779B97F4A7C15
EIGHT, LONG = 8, 64
LOWEST = np.array([(1 << 8 * count) - 1 for count in range(EIGHT + 1)], dtype=np.uint64)
"""Masks that keep the lowest bytes of a number of eight."""
TERMINATORS = ".!?…"
WIDE_TERMINATORS = "。！？"
CLOSING = "\"')]}”’»*_`」』）"
BULLETS = "-*+•"
SPANS = {
    "code": ("`", r"`[^`\n]+`"),
    "bold": ("*", r"\*\*[^*\n]+\*\*"),
    "links": ("]", r"\[[^\[\]\n]*\]\([^()\n]+\)"),
}
"""Marks inside a line: a character that every such mark has, and the pattern that counts them."""


class Texts:
    """Texts side by side in one array of code points, a line break before, between and behind."""

    def __init__(self, texts: pa.Array) -> None:
        self.texts = texts
        self.count = len(texts)
        edge = pa.array([""])
        pieces = pa.concat_arrays([edge, texts, edge])
        joined = pc.binary_join(pa.ListArray.from_arrays([0, len(pieces)], pieces), "\n")[0].as_py()
        self.codes = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
        self.ascii = np.empty(len(self.codes), dtype=np.uint8)
        np.minimum(self.codes, 128, out=self.ascii, casting="unsafe")
        self.lengths = pc.utf8_length(texts).to_numpy().astype(np.int64)
        self.bounds = np.concatenate([[1], 1 + np.cumsum(self.lengths + 1)])

    def per_text(self, positions: Array) -> Array:
        """Count the (sorted) positions in each text."""
        if len(positions) < self.count:
            text = np.searchsorted(self.bounds, positions, side="right") - 1
            return np.bincount(text, minlength=self.count)[: self.count]
        return np.diff(np.searchsorted(positions, self.bounds))

    @cached_property
    def wide(self) -> Array:
        """Positions of characters beyond ASCII: few in most texts, so they are handled apart."""
        return np.flatnonzero(self.ascii & 128)

    @cached_property
    def classes(self) -> Array:
        table = alphabet().classes
        narrow = bytearray(self.ascii.tobytes().translate(table[:256].tobytes()))
        classes = np.frombuffer(narrow, dtype=np.uint8)
        classes[self.wide] = table[self.codes[self.wide]]
        return classes

    def lowered(self) -> tuple[bytes, Array]:
        """Return the characters in lower case, one by one: a byte for each, and the code points of
        the wide ones, which all have the byte 128 (a few, such as the Kelvin sign, become
        ASCII)."""
        table = alphabet().lower
        narrow = bytearray(self.ascii.tobytes().translate(table[:256].astype(np.uint8).tobytes()))
        wide = table[self.codes[self.wide]]
        np.frombuffer(narrow, dtype=np.uint8)[self.wide] = np.minimum(wide, 128)
        return bytes(narrow), wide

    @cached_property
    def class_counts(self) -> Array:
        """Counts of each class, one row per text, without white space and ``OTHER``."""
        kinds = OTHER + 1
        text = np.repeat(np.arange(self.count) * kinds, self.per_text(self.wide))
        cells = np.bincount(text + self.classes[self.wide], minlength=self.count * kinds)
        counts = cells.reshape(self.count, kinds)
        counts[:, DIGIT] = self.per_text(self.digits)
        counts[:, PUNCTUATION] = self.per_text(self.punctuation[0])
        counts[:, LATIN] = self._covered(self.tokens, self.token_counts) - counts[
            :, LATIN + 1 : NUMBER + 1
        ].sum(axis=1)
        return counts

    @cached_property
    def word_counts(self) -> Array:
        return self.per_text(self.words[0])

    @cached_property
    def word_characters(self) -> Array:
        return self._covered(self.words, self.word_counts)

    def _covered(self, runs: tuple[Array, Array], counts: Array) -> Array:
        """Count the characters of each text inside the runs, of which it has so many."""
        covered = np.concatenate([[0], np.cumsum(runs[1] - runs[0])])
        return np.diff(covered[np.concatenate([[0], np.cumsum(counts)])])

    @cached_property
    def words(self) -> tuple[Array, Array]:
        """First and one-past-last position of each run without white space."""
        return _runs(self.classes != SPACE)

    @cached_property
    def tokens(self) -> tuple[Array, Array]:
        """First and one-past-last position of each token."""
        inside = (self.classes - np.uint8(LATIN)) <= NUMBER - LATIN
        alone = self.wide[alphabet().alone[self.codes[self.wide]]]
        if not len(alone):
            return _runs(inside)
        split = ~inside
        split[alone] = True
        split[alone + 1] = True
        starts = np.flatnonzero(inside[1:] & (split[1:] | ~inside[:-1])) + 1
        ends = np.flatnonzero(inside[:-1] & split[1:]) + 1
        return starts, ends

    @cached_property
    def token_counts(self) -> Array:
        return self.per_text(self.tokens[0])

    @cached_property
    def token_text(self) -> Array:
        return np.repeat(np.arange(self.count), self.token_counts)

    @cached_property
    def hashes(self) -> Array:
        """A 64-bit hash of each token's characters in lower case, read eight bytes at a time."""
        starts, ends = self.tokens
        narrow, wide = self.lowered()
        eights = np.ndarray(len(narrow), np.dtype("<u8"), narrow + bytes(EIGHT), strides=(1,))
        sizes = ends - starts
        hashes = eights[starts] & LOWEST[np.minimum(sizes, EIGHT)]
        for read in range(EIGHT, LONG, EIGHT):
            rest = np.flatnonzero(sizes > read)
            more = eights[starts[rest] + read] & LOWEST[np.minimum(sizes[rest] - read, EIGHT)]
            hashes[rest] = _mixed(hashes[rest]) + more
        for token in np.flatnonzero(sizes > LONG):
            digest = blake2b(narrow[starts[token] : ends[token]], digest_size=EIGHT).digest()
            hashes[token] = int.from_bytes(digest, "little")
        beyond = np.flatnonzero(wide >= 128)
        if len(hashes) and len(beyond):
            self._add_wide(hashes, self.wide[beyond], wide[beyond])
        return _mixed(hashes)

    def _add_wide(self, hashes: Array, positions: Array, codes: Array) -> None:
        """Make hashes differ for tokens that differ in the code point or position of wide
        characters."""
        starts, ends = self.tokens
        token = np.searchsorted(starts, positions, side="right") - 1
        inside = (token >= 0) & (positions < ends[token])
        token, codes, positions = token[inside], codes[inside], positions[inside]
        offset = (positions - starts[token]).astype(np.uint64) << np.uint64(32)
        np.add.at(hashes, token, _mixed(codes.astype(np.uint64) | offset))

    @cached_property
    def keys(self) -> Array:
        """Text and token in one number, sorted: text first."""
        keys = self.token_text.astype(np.uint64) << np.uint64(TEXT_BITS)
        keys |= self.hashes >> np.uint64(64 - TEXT_BITS)
        keys.sort()
        return keys

    @cached_property
    def digits(self) -> Array:
        return np.flatnonzero(self.classes == DIGIT)

    @cached_property
    def punctuation(self) -> tuple[Array, Array]:
        """Positions and code points of the punctuation."""
        positions = np.flatnonzero(self.classes == PUNCTUATION)
        return positions, self.codes[positions]

    def marks(self, characters: str) -> Array:
        """Return the positions of some punctuation characters."""
        positions, codes = self.punctuation
        return positions[_among(codes, characters)]

    @cached_property
    def line_breaks(self) -> Array:
        return np.flatnonzero(self.ascii == 10)

    @cached_property
    def lines(self) -> TextLines:
        return TextLines.of(self)

    @cached_property
    def phrases(self) -> Mapping[str, Array]:
        """The number of occurrences of each list's phrases in each text."""
        return _count_phrases(self)


def _among(codes: Array, characters: str) -> Array:
    """Return a mask of the code points that are one of a few characters."""
    matches: Array = codes == ord(characters[0])
    for character in characters[1:]:
        matches |= codes == ord(character)
    return matches


def _runs(inside: Array) -> tuple[Array, Array]:
    """Return starts and ends of runs; the first and last characters (line breaks) are outside."""
    changes = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    return changes[::2], changes[1::2]


def _mixed(numbers: Array) -> Array:
    """Return each 64-bit number spread over all its bits, no two alike."""
    numbers = (numbers ^ (numbers >> np.uint64(32))) * np.uint64(FACTOR)
    numbers ^= numbers >> np.uint64(29)
    numbers *= np.uint64(FACTOR)
    return numbers


@dataclass(frozen=True)
class TextLines:
    """The lines with at least one word that are not in a fenced code block, and the fences."""

    starts: Array
    ends: Array
    words: Array
    word_ends: Array
    fences: Array

    @classmethod
    def of(cls, texts: Texts) -> TextLines:
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

    def headings(self, texts: Texts) -> Array:
        size = self.word_ends - self.words
        line = np.flatnonzero((texts.codes[self.words] == ord("#")) & (size <= 6))
        signs = _within(texts.marks("#"), self.words[line], self.word_ends[line])
        return texts.per_text(self.starts[line[signs == size[line]]])

    def bullets(self, texts: Texts) -> Array:
        bullet = _among(texts.codes[self.words], BULLETS)
        return texts.per_text(self.starts[bullet & (self.word_ends - self.words == 1)])

    def numbered(self, texts: Texts) -> Array:
        size = self.word_ends - self.words
        last = texts.codes[self.word_ends - 1]
        line = np.flatnonzero((size > 1) & (size <= 10) & ((last == ord(".")) | (last == ord(")"))))
        inside = _within(texts.digits, self.words[line], self.word_ends[line])
        return texts.per_text(self.starts[line[inside == size[line] - 1]])

    def tables(self, texts: Texts) -> Array:
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


def _fenced(texts: Texts, starts: Array, fence: Array) -> Array:
    """Return a mask of lines after an odd number of fences of their text."""
    if not fence.any():
        return np.zeros(len(starts), dtype=bool)
    before = np.cumsum(fence) - fence
    earlier = np.concatenate([[0], np.cumsum(texts.per_text(starts[fence]))])
    text = np.searchsorted(texts.bounds, starts, side="right") - 1
    return np.asarray((before - earlier[text]) % 2 == 1)


@dataclass(frozen=True)
class Lexicon:
    """Hashes of the phrases by length and list, and which leading bits begin one."""

    single: Array
    double: Array
    by_length: dict[int, dict[str, Array]]


@lru_cache(maxsize=1)
def _lexicon() -> Lexicon:
    single, double = np.zeros((2, 1 << 16), dtype=bool)
    lists: dict[int, dict[str, list[int]]] = {}
    for name, phrases in PHRASES.items():
        for phrase in phrases:
            hashes = _hashes.__wrapped__(phrase)
            length = len(hashes)
            begin = _leading(_chain(hashes, np.array([0]), min(length, 2)))
            (single if length == 1 else double)[begin] = True
            chained = int(_chain(hashes, np.array([0]), length)[0])
            lists.setdefault(length, {}).setdefault(name, []).append(chained)
    return Lexicon(
        single,
        double,
        {
            length: {
                name: np.sort(np.array(values, dtype=np.uint64)) for name, values in of.items()
            }
            for length, of in lists.items()
        },
    )


def _leading(hashes: Array) -> Array:
    return (hashes >> np.uint64(48)).view(np.int64)


def _chain(hashes: Array, starts: Array, length: int) -> Array:
    """Return the hash of the ``length`` tokens from each start."""
    chained = hashes[starts]
    for step in range(1, length):
        chained = chained * np.uint64(FACTOR) + hashes[starts + step]
    return chained


def _count_phrases(texts: Texts) -> Mapping[str, Array]:
    lexicon, hashes, text = _lexicon(), texts.hashes, texts.token_text
    counts = {name: np.zeros(texts.count) for name in PHRASES}
    pairs = hashes[:-1] * np.uint64(FACTOR) + hashes[1:]
    single = np.flatnonzero(lexicon.single[_leading(hashes)])
    double = np.flatnonzero(lexicon.double[_leading(pairs)])
    for length, lists in lexicon.by_length.items():
        starts = single if length == 1 else double[double + length <= len(text)]
        starts = starts[text[starts + length - 1] == text[starts]]
        chained = _chain(hashes, starts, length)
        for name, listed in lists.items():
            matches = starts[listed[np.searchsorted(listed[:-1], chained)] == chained]
            if name == "flattery":
                first = np.cumsum(texts.token_counts) - texts.token_counts
                matches = matches[matches - first[text[matches]] < OPENING]
            counts[name] += np.bincount(text[matches], minlength=texts.count)
    return counts


def _share(part: Array, whole: Array) -> Array:
    """Return ``part / whole``, and 0 where ``whole`` is 0."""
    return part / np.maximum(whole, 1)


def _sentences(texts: Texts) -> Array:
    positions, codes = texts.punctuation
    mark = np.flatnonzero(_among(codes, TERMINATORS))
    behind = positions[mark] + 1
    closed = (texts.classes[behind] == SPACE) | _among(texts.codes[behind], CLOSING)
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
def _hashes(text: str) -> Array:
    return Texts(pa.array([text])).hashes


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
