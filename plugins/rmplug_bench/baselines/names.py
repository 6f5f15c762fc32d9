"""The names of the baselines: simple rules that score responses without a reward model."""

from __future__ import annotations

from typing import Literal, get_args

Baseline = Literal[
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
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
LEARNT: frozenset[Baseline] = frozenset({"first-character", "n-gram"})
"""Baselines that learn from the labels of other groups; the others learn nothing."""
