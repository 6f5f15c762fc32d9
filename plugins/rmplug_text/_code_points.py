"""Many texts as one flat array of code points: their characters, words, tokens and hashes."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug.arrays import Array

from ._characters import (
    DIGIT,
    LATIN,
    NUMBER,
    OTHER,
    PUNCTUATION,
    SPACE,
    are_alone,
    classes_of,
    lower_of,
)

TEXT_BITS = 50
FACTOR = 0x9E3779B97F4A7C15
EIGHT, LONG = 8, 64
LOW = np.arange(256)
LOWEST = np.array([(1 << 8 * count) - 1 for count in range(EIGHT + 1)], dtype=np.uint64)
"""Masks that keep the lowest bytes of a number of eight."""


class CodePoints:
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
        table = classes_of(LOW).tobytes()
        narrow = bytearray(self.ascii.tobytes().translate(table))
        classes = np.frombuffer(narrow, dtype=np.uint8)
        classes[self.wide] = classes_of(self.codes[self.wide])
        return classes

    def lowered(self) -> tuple[bytes, Array]:
        """Return the characters in lower case, one by one: a byte for each, and the code points of
        the wide ones, which all have the byte 128 (a few, such as the Kelvin sign, become
        ASCII)."""
        table = lower_of(LOW).astype(np.uint8).tobytes()
        narrow = bytearray(self.ascii.tobytes().translate(table))
        wide = lower_of(self.codes[self.wide])
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
        return runs(self.classes != SPACE)

    @cached_property
    def tokens(self) -> tuple[Array, Array]:
        """First and one-past-last position of each token."""
        inside = (self.classes - np.uint8(LATIN)) <= NUMBER - LATIN
        alone = self.wide[are_alone(self.codes[self.wide])]
        if not len(alone):
            return runs(inside)
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
            hashes[rest] = mixed(hashes[rest]) + more
        for token in np.flatnonzero(sizes > LONG):
            digest = blake2b(narrow[starts[token] : ends[token]], digest_size=EIGHT).digest()
            hashes[token] = int.from_bytes(digest, "little")
        beyond = np.flatnonzero(wide >= 128)
        if len(hashes) and len(beyond):
            self._add_wide(hashes, self.wide[beyond], wide[beyond])
        return mixed(hashes)

    def _add_wide(self, hashes: Array, positions: Array, codes: Array) -> None:
        """Make hashes differ for tokens that differ in the code point or position of wide
        characters."""
        starts, ends = self.tokens
        token = np.searchsorted(starts, positions, side="right") - 1
        inside = (token >= 0) & (positions < ends[token])
        token, codes, positions = token[inside], codes[inside], positions[inside]
        offset = (positions - starts[token]).astype(np.uint64) << np.uint64(32)
        np.add.at(hashes, token, mixed(codes.astype(np.uint64) | offset))

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
        return positions[among(codes, characters)]

    @cached_property
    def line_breaks(self) -> Array:
        return np.flatnonzero(self.ascii == 10)


def among(codes: Array, characters: str) -> Array:
    """Return a mask of the code points that are one of a few characters."""
    matches: Array = codes == ord(characters[0])
    for character in characters[1:]:
        matches |= codes == ord(character)
    return matches


def runs(inside: Array) -> tuple[Array, Array]:
    """Return starts and ends of runs; the first and last characters (line breaks) are outside."""
    changes = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    return changes[::2], changes[1::2]


def mixed(numbers: Array) -> Array:
    """Return each 64-bit number spread over all its bits, no two alike."""
    numbers = (numbers ^ (numbers >> np.uint64(32))) * np.uint64(FACTOR)
    numbers ^= numbers >> np.uint64(29)
    numbers *= np.uint64(FACTOR)
    return numbers


def hashes_of(text: str) -> Array:
    """Return the hash of each token of one text."""
    return CodePoints(pa.array([text])).hashes
