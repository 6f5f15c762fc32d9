"""The names of pair columns in tables with one row per response."""

from __future__ import annotations

from collections.abc import Sequence

SIDES = ("chosen", "rejected")


def own_names(columns: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Map each column of responses to the pair columns of chosen and of rejected."""
    names: dict[str, tuple[str, str]] = {}
    for name in columns:
        side, dot, rest = name.partition(".")
        sides = tuple(f"{one}{dot}{rest}" for one in SIDES)
        if side in SIDES and all(one in columns for one in sides):
            names[f"response{dot}{rest}"] = (sides[0], sides[1])
        else:
            names[name] = (name, name)
    return names
