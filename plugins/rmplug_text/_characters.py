"""The class of each code point: letter of a script, digit, punctuation, space."""

from __future__ import annotations

import string
import sys
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

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


@dataclass(frozen=True)
class Alphabet:
    """The class and lower case of each code point, and a flag for those that are single tokens."""

    classes: Array
    lower: Array
    alone: Array


@lru_cache(maxsize=1)
def alphabet() -> Alphabet:
    """Return the tables, made once per process from the Unicode database of this Python."""
    lower = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    classes = np.full(len(lower), OTHER, dtype=np.uint8)
    # Planes 4 to 13 and the private ones are empty: no need to ask about each of their characters.
    for code in (*range(0x40000), *range(0xE0000, 0xE0200)):
        character = chr(code)
        classes[code] = _class_of(character)
        folded = character.lower()
        if folded != character and len(folded) == 1:
            lower[code] = ord(folded)
    for script, ranges in SCRIPTS.items():
        for first, last in ranges:
            part = classes[first : last + 1]
            part[part == LETTER] = script
    return Alphabet(classes, lower, _alone(classes))


def _class_of(character: str) -> int:
    category = unicodedata.category(character)
    if character.isspace():
        return SPACE
    if category == "Nd":
        return DIGIT
    if category[0] == "P" or character in string.punctuation:
        return PUNCTUATION
    return {"L": LETTER, "N": NUMBER, "M": NUMBER}.get(category[0], OTHER)


def _alone(classes: Array) -> Array:
    alone = np.zeros(len(classes), dtype=bool)
    for first, last in ALONE:
        alone[first : last + 1] = np.isin(classes[first : last + 1], WORDLIKE)
    return alone
