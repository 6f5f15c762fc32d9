"""The names of the rulers: simple rules."""

from __future__ import annotations

from typing import Literal, get_args

Ruler = Literal[
    "longer",
    "shorter",
    "most-markdown",
    "least-markdown",
    "first-position",
    "last-position",
    "first-character",
    "n-gram",
    "random",
]
RULERS: tuple[Ruler, ...] = get_args(Ruler)
