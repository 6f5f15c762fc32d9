"""The class of each code point: letter of a script, digit, punctuation, space."""

from __future__ import annotations

import string
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from rmplug.arrays import Array

SPACE, LATIN, CJK, CYRILLIC, ARABIC, LETTER, DIGIT, NUMBER, PUNCTUATION, OTHER = range(10)
WORDLIKE = (LATIN, CJK, CYRILLIC, ARABIC, LETTER, DIGIT, NUMBER)
SCRIPTS = {
    LATIN: ((0x41, 0x24F), (0x250, 0x2AF), (0x1D00, 0x1EFF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF),
            (0xAB30, 0xAB6F), (0xFB00, 0xFB06), (0xFF21, 0xFF5A)),
    CYRILLIC: ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)),
    ARABIC: ((0x600, 0x6FF), (0x750, 0x77F), (0x870, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)),
    CJK: ((0x1100, 0x11FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3040, 0x31FF), (0x3400, 0x9FFF),
          (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0xFF66, 0xFFDC),
          (0x1B000, 0x1B16F), (0x20000, 0x3FFFF)),
}  # fmt: skip
"""The letters of each script, by ranges of code points."""
ALONE = ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x9FFF),
         (0xF900, 0xFAFF), (0xFF66, 0xFF9D), (0x20000, 0x3FFFF))  # fmt: skip
"""Chinese characters and kana: written without spaces, so each one is a token."""


BLOCK = 256


def classes_of(codes: Array) -> Array:
    """Return the class of each code point."""
    return _alphabet_for(codes).classes[codes]


def lower_of(codes: Array) -> Array:
    """Return the lower case of each code point; itself where it has none of one code point."""
    return _alphabet_for(codes).lower[codes]


def are_alone(codes: Array) -> Array:
    """Return a mask of the code points that are single tokens."""
    return _alphabet_for(codes).alone[codes]


@dataclass(frozen=True)
class _Alphabet:
    """Tables of all code points, and of their blocks a mask of those that have been looked up."""

    classes: Array
    lower: Array
    alone: Array
    known: Array


@cache
def _alphabet() -> _Alphabet:
    count = sys.maxunicode + 1
    return _Alphabet(
        np.full(count, OTHER, dtype=np.uint8),
        np.arange(count, dtype=np.uint32),
        np.zeros(count, dtype=bool),
        np.zeros(count // BLOCK, dtype=bool),
    )


def _alphabet_for(codes: Array) -> _Alphabet:
    """Return the tables with these code points looked up in the Unicode database of this Python:
    to look up all takes longer than to count what most texts hold."""
    alphabet, blocks = _alphabet(), codes // BLOCK
    for block in np.unique(blocks[~alphabet.known[blocks]]):
        _look_up(alphabet, range(block * BLOCK, (block + 1) * BLOCK))
        alphabet.known[block] = True  # other threads may read it from now on
    return alphabet


def _look_up(alphabet: _Alphabet, codes: range) -> None:
    classes = np.array([_class_of(chr(code)) for code in codes], dtype=np.uint8)
    for script, ranges in SCRIPTS.items():
        classes[_within(ranges, codes) & (classes == LETTER)] = script
    alone = _within(ALONE, codes) & np.isin(classes, WORDLIKE)
    lower = [chr(code).lower() for code in codes]
    block = slice(codes.start, codes.stop)
    alphabet.classes[block], alphabet.alone[block] = classes, alone
    alphabet.lower[block] = [
        ord(one) if len(one) == 1 else code for one, code in zip(lower, codes, strict=True)
    ]


def _within(ranges: Iterable[tuple[int, int]], codes: range) -> Array:
    """Return a mask of the code points that are in one of the ranges, ends included."""
    inside = np.zeros(len(codes), dtype=bool)
    for first, last in ranges:
        inside[max(first - codes.start, 0) : max(last + 1 - codes.start, 0)] = True
    return inside


def _class_of(character: str) -> int:
    category = unicodedata.category(character)
    if character.isspace():
        return SPACE
    if category == "Nd":
        return DIGIT
    if category[0] == "P" or character in string.punctuation:
        return PUNCTUATION
    return {"L": LETTER, "N": NUMBER, "M": NUMBER}.get(category[0], OTHER)
