"""The targets of probes: numbers, and labels of two classes or more, for the rows of states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Responses, notice
from rmplug.arrays import Array
from rmplug.errors import some

from ._places import StateRows, couples, name_of

MOST_CLASSES = 20


@dataclass(frozen=True)
class Target:
    """What a probe is to know: ``values`` (rows,) are numbers, or indices of ``classes``; NaN where
    it is missing."""

    name: str
    values: Array
    classes: tuple[str, ...] = ()

    @property
    def columns(self) -> int:
        """Directions: one for a number or two classes, else one per class."""
        return len(self.classes) if len(self.classes) > 2 else 1


def targets_of(
    features: Sequence[Features], data: Pairs | Responses | None, labels: Sequence[str],
    rows: StateRows,
) -> list[Target]:  # fmt: skip
    """Return the columns of features and the labels of data as targets; raises DataError."""
    found: dict[str, Target] = {}
    for table in features:
        numeric = [c for c in table.values if not _is_vector(table, c)]
        for columns in couples(numeric) if rows.sided else {(c,): None for c in numeric}:
            name = name_of(table.name, columns[0])
            found[name] = _target(name, table, columns, rows)
    for label in labels:
        if data is None or label not in data.columns:
            there = "no data are given" if data is None else f"there are {some(data.columns, 12)}"
            raise DataError(f"labels names {label!r}, and {there}; name a column of data")
        found[label] = _target(label, data, (label,), rows)
    if not found:
        raise DataError("there is nothing to probe for; give a target, or data with labels")
    return list(found.values())


def _is_vector(table: Features, column: str) -> bool:
    return bool(pa.types.is_fixed_size_list(table.rows.schema.field(column).type))


def _target(
    name: str, table: Features | Pairs | Responses, columns: Sequence[str], rows: StateRows
) -> Target:
    """Read one target; the rows without it are counted."""
    ids = table.column("id").combine_chunks()
    if len(columns) == 2:
        at = pc.index_in(rows.base, value_set=ids)
        values = pa.concat_arrays([table.column(c).combine_chunks().take(at) for c in columns])
    else:
        at = pc.index_in(rows.ids, value_set=ids)
        if rows.sided:
            at = pc.coalesce(at, _twice(pc.index_in(rows.base, value_set=ids)))
        values = table.column(columns[0]).combine_chunks().take(at)
    target = _as_classes(name, values) or _as_numbers(name, values)
    missing = np.isnan(target.values)
    notice(f"{name} is missing", rows.ids.filter(pa.array(missing)).to_pylist(), "dropped")
    _check(target, rows.groups)
    return target


def _twice(at: pa.Array) -> pa.Array:
    return pa.concat_arrays([at, at])


def _as_classes(name: str, values: pa.Array) -> Target | None:
    """Return texts, truth values and numbers of two values as classes; None for other numbers."""
    text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    if not text and not pa.types.is_boolean(values.type):
        try:
            numbers = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
        except pa.ArrowInvalid as error:
            raise DataError(
                f"the target {name} is {values.type}, no number and no label"
            ) from error
        if len(np.unique(numbers[np.isfinite(numbers)])) != 2:
            return None
        values = pa.array([None if not np.isfinite(n) else f"{n:g}" for n in numbers], pa.string())
    words = values.cast(pa.string())
    classes = tuple(sorted(set(words.drop_null().to_pylist()), key=_class_order))
    codes = pc.index_in(words, value_set=pa.array(classes, pa.string()))
    codes = pc.if_else(pc.is_null(words), pa.scalar(None, pa.int32()), codes)
    return Target(name, _floats(codes), classes)


def _class_order(word: str) -> tuple[int, float, str]:
    try:
        return 0, float(word), word
    except ValueError:
        return 1, 0.0, word


def _as_numbers(name: str, values: pa.Array) -> Target:
    numbers = _floats(values)
    return Target(name, np.where(np.isfinite(numbers), numbers, np.nan))


def _floats(values: pa.Array) -> Array:
    return np.array(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _check(target: Target, groups: Array) -> None:
    """Refuse a target that does not vary, or of which a class cannot be held out."""
    present = ~np.isnan(target.values)
    values = target.values[present]
    if len(np.unique(groups[present])) < 2 or not len(values) or np.ptp(values) == 0:
        raise DataError(
            f"the target {target.name} has one value in {len(values)} rows of "
            f"{len(np.unique(groups[present]))} groups (prompts): a probe needs two at least"
        )
    if len(target.classes) > MOST_CLASSES:
        raise DataError(
            f"the target {target.name} has {len(target.classes)} classes, a probe takes "
            f"{MOST_CLASSES} at most; probe for one of them (filter), or for a number"
        )
    for code, label in enumerate(target.classes):
        if len(np.unique(groups[target.values == code])) < 2:
            raise DataError(
                f"the class {label} of {target.name} is in one group (prompt) only, so that it "
                "cannot be held out; leave its rows out"
            )
