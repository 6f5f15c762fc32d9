"""The targets of rows: what a loss needs of each beside its texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, notice
from rmplug.arrays import Array
from rmplug.errors import did_you_mean, some
from rmplug.stats.row_weights import weights_and_margins

TIE = "tie"


@dataclass(frozen=True)
class Targets:
    """Float64 columns of shape (rows, …), and the mask of the rows that can be learnt from."""

    columns: Mapping[str, Array]
    usable: Array = field(default_factory=lambda: np.zeros(0, bool))


def pair_targets(table: pa.Table, soft_labels: str | None, ties: str | None) -> Targets:
    """Return ``weight``, ``margin``, ``soft`` (the probability that chosen is better) and ``tie``
    (0 or 1) of pairs."""
    weights, margins = weights_and_margins(table)
    rows = table.num_rows
    soft = np.ones(rows) if soft_labels is None else numbers_in(table, soft_labels)
    usable = np.isfinite(soft)
    notice(f"{soft_labels} is missing", ids_of(table, ~usable), "dropped")
    outside = usable & ((soft < 0) | (soft > 1))
    if outside.any():
        raise DataError(
            f"{soft_labels} must be a probability from 0 to 1; it is not in "
            f"{int(outside.sum())} rows ({some(ids_of(table, outside))})"
        )
    if soft_labels is not None and margins.any():
        raise DataError(
            f"pairs have both {soft_labels} and margin: a margin is a lead for a sure label; leave "
            "one of them out"
        )
    tied = np.zeros(rows) if ties is None else _tied(table, ties)
    columns = {"weight": weights, "margin": margins, "soft": soft, "tie": tied}
    return Targets(columns, usable)


def ties_in(table: pa.Table, column: str) -> Array:
    """Return a float64 column that is 1 where a column says that neither response is better."""
    check_column(table, column)
    values = pc.equal(table[column].cast(pa.string()), TIE)
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False)).astype(float)


def _tied(table: pa.Table, column: str) -> Array:
    tied = ties_in(table, column)
    if not tied.any():
        raise DataError(
            f"no row says {TIE!r} in {column}; load comparisons with ab-file and ties: half, or "
            "take the loss bradley-terry"
        )
    return tied


def rating_targets(table: pa.Table, ratings: Sequence[str]) -> Targets:
    """Return ``rating`` of shape (rows, ratings), NaN where missing, and ``weight``."""
    weights, _ = weights_and_margins(table)
    values = np.column_stack([numbers_in(table, name) for name in ratings])
    empty = [
        name for name, there in zip(ratings, np.isfinite(values).T, strict=True) if not there.any()
    ]
    if empty:
        raise DataError(f"no row has a rating in {empty[0]}; leave it out of ratings")
    usable = np.isfinite(values).any(axis=1)
    notice("no rating", ids_of(table, ~usable), "dropped")
    return Targets({"rating": values, "weight": weights}, usable)


def rank_targets(table: pa.Table, by: str) -> Targets:
    """Return ``rank`` of responses, smaller is better, and ``weight``."""
    weights, _ = weights_and_margins(table)
    values = numbers_in(table, by)
    usable = np.isfinite(values)
    notice(f"{by} is missing", ids_of(table, ~usable), "dropped")
    return Targets({"rank": values if by == "rank" else -values, "weight": weights}, usable)


def numbers_in(table: pa.Table, column: str) -> Array:
    """Return a numeric column as float64, NaN where missing."""
    check_column(table, column)
    type_ = table.schema.field(column).type
    if not (
        pa.types.is_floating(type_) or pa.types.is_integer(type_) or pa.types.is_boolean(type_)
    ):
        raise DataError(f"column {column!r} holds {type_}, not numbers")
    return np.asarray(pc.fill_null(table[column].cast(pa.float64()), np.nan).to_numpy())


def check_column(table: pa.Table, column: str) -> None:
    """Raise DataError, with the columns that are there, for one that is not."""
    if column not in table.column_names:
        hint = did_you_mean(column, table.column_names)
        raise DataError(f"the data have no column {column!r}{hint}: {some(table.column_names, 12)}")


def ids_of(table: pa.Table, rows: Array) -> list[str]:
    """Return the ids of the rows of a mask."""
    ids: list[str] = table["id"].filter(pa.array(rows)).to_pylist()
    return ids
