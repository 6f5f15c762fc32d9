"""The difference between two artifacts that should be the same: where it is, and what it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rmplug._store.files import checksum
from rmplug.artifacts import Artifact, Folder, Metrics, Tabular

if TYPE_CHECKING:
    import pyarrow as pa


def assert_same(first: Artifact, second: Artifact, tolerance: float = 0.0) -> None:
    """Check that two artifacts hold the same: equal tables (numbers up to ``tolerance``), or files
    with equal bytes. The message names the first column and row, or file, that differs."""
    found = difference(first, second, tolerance)
    assert found is None, found


def difference(first: Artifact, second: Artifact, tolerance: float = 0.0) -> str | None:
    """Tell in what two artifacts differ first; None where they are the same."""
    if isinstance(first, Tabular):
        assert isinstance(second, Tabular)
        return _of_tables(first, second, tolerance)
    if isinstance(first, Folder):
        assert isinstance(second, Folder)
        return _of_files(_sums(first), _sums(second))
    return None


def alike(one: Any, two: Any, tolerance: float) -> bool:
    """Check that two values are equal, floating-point numbers (in lists too) up to ``tolerance``;
    NaN is like NaN."""
    if isinstance(one, float) and isinstance(two, float):
        both_missing = math.isnan(one) and math.isnan(two)
        return one == two or both_missing or abs(one - two) <= tolerance
    if isinstance(one, list) and isinstance(two, list):
        pairs = zip(one, two, strict=False)
        return len(one) == len(two) and all(alike(a, b, tolerance) for a, b in pairs)
    return bool(one == two)


def _of_tables(first: Tabular, second: Tabular, tolerance: float) -> str | None:
    tables = first.table, second.table
    if tables[0].schema != tables[1].schema:
        columns = (", ".join(f"{f.name} ({f.type})" for f in table.schema) for table in tables)
        return f"columns are {' and '.join(columns)}"
    if len(tables[0]) != len(tables[1]):
        return f"there are {len(tables[0])} and {len(tables[1])} rows"
    for name in tables[0].column_names:
        if tables[0][name].equals(tables[1][name]):
            continue
        values = (table[name].to_pylist() for table in tables)
        for row, (one, two) in enumerate(zip(*values, strict=True)):
            if not alike(one, two, tolerance):
                return f"column {name} of {_row(first, row)} is {_shown(one, two)}"
    return None


def _row(artifact: Tabular, row: int) -> str:
    """Name a row by its id, or by what a metric is of."""
    named = ("metric", "subset") if isinstance(artifact, Metrics) else ("id",)
    table: pa.Table = artifact.table
    words = [str(table[name][row]) for name in named if name in table.column_names]
    return f"row {row} ({', '.join(words)})" if words else f"row {row}"


def _shown(one: Any, two: Any) -> str:
    """Write two values; of two lists, where they differ first."""
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        place = next(n for n, (a, b) in enumerate(zip(one, two, strict=True)) if not alike(a, b, 0))
        return f"{one[place]!r:.60} and {two[place]!r:.60} at place {place}"
    return f"{one!r:.60} and {two!r:.60}"


def _of_files(first: Mapping[str, str], second: Mapping[str, str]) -> str | None:
    if alone := sorted(set(first) ^ set(second)):
        return f"the file {alone[0]} is in one result only"
    other = next((name for name in first if first[name] != second[name]), None)
    return None if other is None else f"the file {other} has other bytes"


def _sums(artifact: Folder) -> dict[str, str]:
    root = artifact.directory
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): checksum(path) for path in files}
