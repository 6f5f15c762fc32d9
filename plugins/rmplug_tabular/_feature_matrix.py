"""The matrix of joined features: its columns, the policy for missing values, and the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features, join, notice

Missing: TypeAlias = Literal["error", "drop", "impute-median", "keep"]
TARGET = "target"
MOST_CLASSES = 20


@dataclass(frozen=True)
class Column:
    """One feature: a number (width 1, no vector) or a vector of ``width`` numbers."""

    name: str
    width: int
    vector: bool

    def parts(self) -> list[str]:
        """Return a name for each number: ``words.length``, or ``state.vector[7]``."""
        return [f"{self.name}[{i}]" for i in range(self.width)] if self.vector else [self.name]


@dataclass(frozen=True)
class Examples:
    """Rows to learn from: ``matrix`` (rows, numbers), ``target`` (rows,), ids, groups as 0, 1, …

    For classes, ``target`` holds positions in ``classes``; ``groups`` count up from 0.
    """

    columns: tuple[Column, ...]
    matrix: np.ndarray
    target: np.ndarray
    ids: pa.Array
    group_names: pa.Array
    groups: np.ndarray
    classes: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.target)

    def blocks(self) -> list[tuple[Column, slice]]:
        """Return each feature with the slice of its numbers in the matrix."""
        ends = np.cumsum([column.width for column in self.columns])
        return [
            (column, slice(int(end) - column.width, int(end)))
            for column, end in zip(self.columns, ends, strict=True)
        ]


def read_examples(
    features: Sequence[Features],
    target: Features,
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    missing: Missing,
) -> Examples:
    """Read features and target of the same rows; ``missing`` is the policy for missing values."""
    target.only()
    table = join([*features, Features(target.rows, TARGET)]).table
    _note_rows_left_out(table, target)
    itself = f"{target.name}.{target.values[0]}"
    names = [name for name in table.column_names[:-1] if name not in ("id", "group")]
    if itself in names:
        notice("the target itself is among the features", [itself], "dropped", of="features")
    columns = _columns(table, chosen_columns([n for n in names if n != itself], include, exclude))
    matrix, values = read_matrix(table, columns), _numbers(table.column(table.num_columns - 1))
    kept = _rows_to_keep(matrix, values, columns, table["id"], missing, itself)
    table = table.select([n for n in ("id", "group") if n in table.column_names]).filter(kept)
    matrix, values = matrix[kept], values[kept]
    ids = table["id"].combine_chunks()
    names_of_groups = table["group"].combine_chunks() if "group" in table.column_names else ids
    groups = np.asarray(names_of_groups.dictionary_encode().indices)
    if len(groups) == 0 or groups.max() < 1:
        raise DataError(
            f"fitting {itself} needs rows of at least 2 groups (prompts), there are "
            f"{len(groups)} rows of {len(set(groups.tolist()))}; give more data"
        )
    _note_constant(matrix, columns)
    return Examples(columns, matrix, values, ids, names_of_groups, groups)


def chosen_columns(
    names: Sequence[str], include: Sequence[str], exclude: Sequence[str]
) -> list[str]:
    """Return the names that match a pattern of ``include`` and none of ``exclude``."""
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise DataError(f"no feature matches {pattern!r}; there are {', '.join(names[:12])}")
    chosen = [
        name
        for name in names
        if any(fnmatchcase(name, pattern) for pattern in include)
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
    ]
    if not chosen:
        raise DataError("no feature is left to learn from; widen include or narrow exclude")
    return chosen


def read_matrix(table: pa.Table, columns: Sequence[Column]) -> np.ndarray:
    """Read a float64 matrix (rows, numbers), vectors expanded, non-finite values as NaN."""
    matrix = np.empty((table.num_rows, sum(column.width for column in columns)))
    start = 0
    for column in columns:
        matrix[:, start : start + column.width] = _vectors(table, column)
        start += column.width
    matrix[~np.isfinite(matrix)] = np.nan
    return matrix


def as_classes(examples: Examples, threshold: float | None, name: str) -> Examples:
    """Return the rows with classes as target: its values, or two: above ``threshold`` or not."""
    values = examples.target if threshold is None else examples.target > threshold
    classes, codes = np.unique(values.astype(float), return_inverse=True)
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(
            f"the classifier {name} needs a target of 2 to {MOST_CLASSES} classes, this one has "
            f"{len(classes)} values; set threshold to classify whether it is above a number, "
            "or name a regressor"
        )
    for code, value in enumerate(classes):
        if len(np.unique(examples.groups[codes == code])) < 2:
            raise DataError(
                f"class {value:g} of the target is in one group only, so it cannot be held out; "
                "give rows of that class from at least 2 groups"
            )
    return _with_target(examples, codes, tuple(float(value) for value in classes))


def as_numbers(examples: Examples, name: str) -> Examples:
    """Return the rows; DataError if the target does not vary."""
    if np.ptp(examples.target) == 0:
        raise DataError(
            f"the target is {examples.target[0]:g} for all {len(examples)} rows: {name} has "
            "nothing to explain"
        )
    return examples


def _with_target(examples: Examples, target: np.ndarray, classes: tuple[float, ...]) -> Examples:
    return Examples(
        examples.columns,
        examples.matrix,
        target,
        examples.ids,
        examples.group_names,
        examples.groups,
        classes,
    )


def _columns(table: pa.Table, names: Sequence[str]) -> tuple[Column, ...]:
    kinds = [table.schema.field(name).type for name in names]
    vectors = [pa.types.is_fixed_size_list(kind) for kind in kinds]
    return tuple(
        Column(name, kind.list_size if vector else 1, vector)
        for name, kind, vector in zip(names, kinds, vectors, strict=True)
    )


def _vectors(table: pa.Table, column: Column) -> np.ndarray:
    values = table[column.name]
    if not column.vector:
        return _numbers(values)[:, None]
    kind = values.type
    if not pa.types.is_fixed_size_list(kind) or kind.list_size != column.width:
        raise DataError(
            f"feature {column.name} is {kind} here and was a vector of {column.width} when fitted"
        )
    dense = np.full((len(values), column.width), np.nan)
    present = np.asarray(values.is_valid())
    flat = np.concatenate(
        [np.asarray(chunk.flatten(), dtype=float) for chunk in values.chunks] or [np.empty(0)]
    )
    dense[present] = flat.reshape(-1, column.width)
    return dense


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_fixed_size_list(values.type):
        raise DataError("the target is a vector; name a column of single numbers")
    return np.array(values.cast(pa.float64()).to_numpy(), dtype=float)


def _rows_to_keep(
    matrix: np.ndarray,
    target: np.ndarray,
    columns: Sequence[Column],
    ids: pa.ChunkedArray,
    missing: Missing,
    itself: str,
) -> np.ndarray:
    """Return a mask of the rows to learn from; DataError if ``error`` meets missing values."""
    no_target, holes = ~np.isfinite(target), np.isnan(matrix).any(axis=1)
    kept: np.ndarray = ~no_target & (~holes if missing in ("error", "drop") else True)
    if missing == "error" and not kept.all():
        names = [itself] * bool(no_target.any()) + _with_holes(matrix, columns)
        raise DataError(
            f"{np.count_nonzero(~kept)} of {len(kept)} rows have missing values in "
            f"{', '.join(names[:5])} (ids {', '.join(ids.filter(~kept)[:5].to_pylist())}); "
            "set missing: drop or missing: impute-median, or leave these columns out"
        )
    notice("missing target", ids.filter(no_target).to_pylist(), "dropped")
    action: Literal["kept", "dropped", "changed"] = "kept" if missing == "keep" else "changed"
    action = "dropped" if missing == "drop" else action
    notice("missing feature values", ids.filter(holes & ~no_target).to_pylist(), action)
    return kept


def _with_holes(matrix: np.ndarray, columns: Sequence[Column]) -> list[str]:
    parts = [column.name for column in columns for _ in range(column.width)]
    holes = np.isnan(matrix).sum(axis=0)
    return [f"{name} ({count})" for name, count in zip(parts, holes, strict=True) if count]


def _note_constant(matrix: np.ndarray, columns: Sequence[Column]) -> None:
    same = (np.isnan(matrix) | (matrix == matrix[:1])).all(axis=0)
    parts = [part for column in columns for part in column.parts()]
    notice("feature with one value only", [parts[i] for i in np.flatnonzero(same)], of="features")


def _note_rows_left_out(table: pa.Table, target: Features) -> None:
    if len(target) > table.num_rows:
        ids = target["id"]
        outside = ids.filter(np.isin(np.asarray(ids), np.asarray(table["id"]), invert=True))
        notice("target without features", outside.to_pylist(), "dropped")
