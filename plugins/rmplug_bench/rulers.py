"""The names of the rulers: rules that never read what a response says."""

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
