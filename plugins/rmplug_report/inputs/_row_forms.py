"""Forms of rows of metrics: plain numbers, levels of a benchmark, cells, curves, places in a model.

Only the optional columns of a row decide, never the kind of step that gave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ._inputs import Row

LEVELS = ("overall", "section", "subset")
CHANGES = ("-before", "-after")


def is_point(row: Row) -> bool:
    """Check whether a row is a point of a curve."""
    return row.get("at") is not None and bool(row.get("axis"))


def is_of_runs(row: Row) -> bool:
    """Check whether a row compares two runs: a number, or an entry of their specs."""
    return bool(row.get("where"))


def is_comparison(row: Row) -> bool:
    """Check whether a row is a paired difference of two models."""
    return bool(row.get("other")) and not is_point(row)


def is_cell(row: Row) -> bool:
    """Check whether a row is a cell of a matrix."""
    named = row.get("row") and row.get("column")
    return bool(named) and not is_point(row) and not is_comparison(row)


def is_change(row: Row) -> bool:
    """Check whether a row is one end of a before and after."""
    return str(row["metric"]).endswith(CHANGES) and not is_cell(row) and not is_point(row)


def is_rank(row: Row) -> bool:
    return bool(row["metric"] == "rank" and row.get("model")) and not is_point(row)


def is_level(row: Row) -> bool:
    """Check whether a row is the number of a subset, a section or the whole of a benchmark."""
    apart = (is_point, is_comparison, is_cell, is_change, is_rank)
    return row.get("level") in LEVELS and bool(row.get("model")) and not any(a(row) for a in apart)


def is_placed(row: Row) -> bool:
    """Check whether a row is about the states at one place of a model, such as a layer."""
    return bool(row.get("place"))


def is_plain(row: Row) -> bool:
    """Check whether a row has none of the other forms."""
    special = (is_of_runs, is_point, is_comparison, is_cell, is_change, is_rank, is_level)
    return not any(form(row) for form in (*special, is_placed))


def by(rows: Iterable[Row], *keys: str) -> dict[tuple[str, ...], list[Row]]:
    """Group rows by their texts in these columns, in the order of first occurrence."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(key) or "") for key in keys), []).append(row)
    return groups


def valued(rows: Iterable[Row], form: Callable[[Row], bool]) -> list[Row]:
    """Select the rows of a form that have a value."""
    return [row for row in rows if row.get("value") is not None and form(row)]


def sentences(rows: Iterable[Row]) -> list[str]:
    """Return the sentences of some rows, each once."""
    return list(dict.fromkeys(str(row["sentence"]) for row in rows if row.get("sentence")))


def distinct(rows: Iterable[Row], key: str) -> list[str]:
    return list(dict.fromkeys(str(row[key]) for row in rows if row.get(key)))
