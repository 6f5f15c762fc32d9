"""Rows of metrics that a loop collected: what each item or round measured, told apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

APART = "of_item"
"""The entry of a row that was told apart, with the item or round that it is of."""
LOOPS = ("item", "round")
"""The columns that loops add; of loops around others, ``outer_item`` and so on."""
NUMBERS = ("value", "low", "high", "n", "sentence")


def told_apart(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a step, each model named with its item or round, as ``reward (round 2)``,
    where it would otherwise have several values of one number. Baselines that are the same in all
    items, as on the same data, stay as they are and are there once."""
    loops = [name for name in (rows[0] if rows else ()) if _of_loop(name)]
    named = [row for row in rows if row.get("model")]
    if not loops or len({_key(row, [*loops, *NUMBERS]) for row in named}) == len(named):
        return list(rows)
    once: dict[Any, dict[str, Any]] = {}
    for row in rows:
        if row.get("kind") == "baseline":
            once.setdefault(_key(row, loops), {**row, **dict.fromkeys(loops)})
    items = len({tuple(row[name] for name in loops) for row in rows})
    varied = _varied(rows, once.values(), items)
    same = {row["model"] for row in once.values()} - varied
    kept = [row for row in once.values() if row["model"] in same]
    return [*(_of_item(row, loops, same) for row in rows if row.get("model") not in same), *kept]


def _of_loop(name: str) -> bool:
    return name.rpartition("_")[2] in LOOPS


def _varied(
    rows: Iterable[Mapping[str, Any]], once: Iterable[Mapping[str, Any]], items: int
) -> set[Any]:
    """Return the baselines that do not have the same numbers in all items."""
    every = [row["model"] for row in rows if row.get("kind") == "baseline"]
    different = [row["model"] for row in once]
    return {model for model in different if different.count(model) * items != every.count(model)}


def _key(row: Mapping[str, Any], without: Sequence[str]) -> tuple[Any, ...]:
    # a number that is missing is NaN, which is not equal to itself
    return tuple(str(value) for name, value in row.items() if name not in without)


def _of_item(row: dict[str, Any], loops: Sequence[str], same: set[Any]) -> dict[str, Any]:
    """Return a row with the names of its models and of its item."""
    if not row.get("model"):
        return row
    item = ", ".join(f"{name.rpartition('_')[2]} {row[name]}" for name in loops)
    names = {
        key: f"{row[key]} ({item})"
        for key in ("model", "other")
        if row.get(key) and row[key] not in same
    }
    return {**row, **names, APART: item}
