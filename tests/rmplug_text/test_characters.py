"""The class and lower case of code points, looked up when they are first met."""

from __future__ import annotations

import numpy as np

from rmplug_text._characters import (
    ALONE,
    LETTER,
    SCRIPTS,
    WORDLIKE,
    _class_of,
    are_alone,
    classes_of,
    lower_of,
)

RANGES = [one for ranges in (*SCRIPTS.values(), ALONE) for one in ranges]
EDGES = sorted({code for a, b in RANGES for code in (a - 1, a, b, b + 1)} | {0x130, 0x10FFFF})


def plain_class(code):
    found = [s for s, ranges in SCRIPTS.items() if any(a <= code <= b for a, b in ranges)]
    own = _class_of(chr(code))
    return found[-1] if own == LETTER and found else own


def test_code_points_are_what_unicode_says_in_whatever_order_they_are_met():
    for codes in (EDGES[::3], EDGES[::-2], EDGES):
        asked = np.array(codes, dtype=np.uint32)
        assert classes_of(asked).tolist() == [plain_class(code) for code in codes]
        lower = [chr(code).lower() for code in codes]
        one_by_one = [ord(c) if len(c) == 1 else code for c, code in zip(lower, codes, strict=True)]
        assert lower_of(asked).tolist() == one_by_one
        assert are_alone(asked).tolist() == [
            plain_class(code) in WORDLIKE and any(a <= code <= b for a, b in ALONE)
            for code in codes
        ]
