"""Results of proxies that were trained and evaluated elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from rmplug import DataError, Features, notice
from rmplug.errors import did_you_mean, some


def read_results(path: Path, key: str, patterns: Sequence[str], missing: str) -> Features:
    """The columns of numbers of a CSV file, one row for each candidate."""
    table = _read(path)
    if key not in table.column_names:
        raise DataError(
            f"{path} has no column {key!r}{did_you_mean(key, table.column_names)}; say which one "
            "names the candidates: params: {key: …}"
        )
    ids = pc.cast(table[key], pa.string())
    _check_ids(ids, path)
    numbers = {name: _numbers(table[name]) for name in _wanted(table, key, patterns, path)}
    holes = np.zeros(len(ids), dtype=bool)
    for values in numbers.values():
        holes |= ~np.isfinite(values)
    listed = ids.filter(pa.array(holes)).to_pylist()
    if listed and missing == "error":
        raise DataError(
            f"{path} lacks a number in {len(listed)} rows ({some(listed)}); fill it in, or set "
            "missing: drop"
        )
    notice("a number is missing", listed, "dropped" if missing == "drop" else "kept")
    rows = np.flatnonzero(~holes) if missing == "drop" else np.arange(len(ids))
    _check_columns(numbers, rows, path)
    kept = {name: values[rows] for name, values in numbers.items()}
    return Features({"id": ids.take(pa.array(rows)), **kept})


def _read(path: Path) -> pa.Table:
    try:
        return pc_csv.read_csv(path)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as CSV in UTF-8: {error}") from None


def _wanted(table: pa.Table, key: str, patterns: Sequence[str], path: Path) -> list[str]:
    """The columns that match, hold numbers, and have a name."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in table.column_names):
            known = some(table.column_names, 12)
            raise DataError(f"no column of {path} matches {pattern!r}; there are {known}")
    named = [name for name in table.column_names if name and name != key]
    chosen = [name for name in named if any(fnmatchcase(name, p) for p in patterns)]
    texts = [name for name in chosen if not _numeric(table.schema.field(name).type)]
    notice("columns that hold no numbers", texts, "dropped", "columns")
    return [name for name in chosen if name not in set(texts)]


def _numeric(kind: pa.DataType) -> bool:
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    return any(is_kind(kind) for is_kind in known)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    filled = pc.fill_null(column.cast(pa.float64()), np.nan)
    return np.asarray(filled.to_numpy(), dtype=np.float64)


def _check_ids(ids: pa.ChunkedArray, path: Path) -> None:
    lacking = pc.sum(pc.fill_null(pc.equal(ids, ""), True)).as_py()
    if lacking:
        raise DataError(f"{path} has {lacking} rows without a name of the candidate; name them")
    counts = pc.value_counts(ids)
    twice = [entry["values"] for entry in counts.to_pylist() if entry["counts"] > 1]
    if twice:
        raise DataError(f"{path} has candidates that are there twice ({some(twice)}); keep one row")


def _check_columns(numbers: dict[str, np.ndarray], rows: np.ndarray, path: Path) -> None:
    empty = [name for name, values in numbers.items() if len(values) and np.isnan(values).all()]
    if empty and not len(rows):
        raise DataError(
            f"no row of {path} is whole, since {empty[0]!r} is always empty; name the columns to "
            "read: params: {columns_to_read: […]}"
        )
