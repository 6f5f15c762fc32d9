"""Results of proxies that were trained and evaluated elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv

from rmplug import DataError, Features, notice
from rmplug.arrays import Array
from rmplug.data.raw_texts import BadRow
from rmplug.data.row_files import (
    Policy,
    Row,
    RowFiles,
    identifier,
    need,
    number,
    unnamed_column,
)
from rmplug.errors import some

MISSING = frozenset(pc_csv.ConvertOptions().null_values)
"""The texts for a missing number in tables, those of Arrow and pandas."""
WORDS = {"true": 1.0, "false": 0.0, "inf": np.inf, "-inf": -np.inf}


def read_results(
    path: Path, key: str, patterns: Sequence[str], missing: str, bad_rows: Policy
) -> Features:
    """Return the columns of numbers of a table, one row for each candidate."""
    hint = "say which one names the candidates: params: {key: …}"
    source = RowFiles([path], bad_rows=bad_rows)
    rows = [row for row, _ in source.convert(lambda row: _candidate(row, key), hint)]
    ids = [_candidate(row, key) for row in rows]
    _check_ids(ids, path)
    numbers = _numbers(rows, _wanted(rows, key, patterns, path))
    holes = np.zeros(len(ids), dtype=bool)
    for values in numbers.values():
        holes |= ~np.isfinite(values)
    lacking = [ids[row] for row in np.flatnonzero(holes)]
    if lacking and missing == "error":
        raise DataError(
            f"{path} lacks a number in {len(lacking)} rows ({some(lacking)}); fill it in, or set "
            "missing: drop"
        )
    notice("a number is missing", lacking, "dropped" if missing == "drop" else "kept")
    kept = np.flatnonzero(~holes) if missing == "drop" else np.arange(len(ids))
    _check_columns(numbers, kept, path)
    columns = {name: values[kept] for name, values in numbers.items()}
    return Features({"id": pa.array([ids[row] for row in kept], pa.string()), **columns})


def _candidate(row: Row, key: str) -> str:
    return identifier(need(row.value, key), key)


def _wanted(rows: Sequence[Row], key: str, patterns: Sequence[str], path: Path) -> list[str]:
    """Return the columns that match and have a name, in the order of the file."""
    names = list(dict.fromkeys(name for row in rows for name in row.value))
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise DataError(f"no column of {path} matches {pattern!r}; there are {some(names, 12)}")
    unnamed = {unnamed_column(position) for position in range(1, len(names) + 1)}
    named = [name for name in names if name != key and name not in unnamed]
    return [name for name in named if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _numbers(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Array]:
    """Return the columns that hold numbers, NaN where one is missing; notice the others."""
    columns: dict[str, Array] = {}
    texts = []
    for name in names:
        try:
            columns[name] = np.array([_number(row.value, name) for row in rows], dtype=np.float64)
        except BadRow:
            texts.append(name)
    notice("columns that hold no numbers", texts, "dropped", "columns")
    return columns


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.strip() in MISSING:
        return np.nan
    if isinstance(value, str) and value.strip().lower() in WORDS:
        return WORDS[value.strip().lower()]
    parsed = number(value, name)
    return np.nan if parsed is None else parsed


def _check_ids(ids: Sequence[str], path: Path) -> None:
    seen: set[str] = set()
    twice = [name for name in ids if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    if twice:
        raise DataError(f"{path} has candidates that are there twice ({some(twice)}); keep one row")


def _check_columns(numbers: Mapping[str, Array], rows: Array, path: Path) -> None:
    empty = [name for name, values in numbers.items() if len(values) and np.isnan(values).all()]
    if empty and not len(rows):
        raise DataError(
            f"no row of {path} is whole, since {empty[0]!r} is always empty; name the columns to "
            "read: params: {columns_to_read: […]}"
        )
