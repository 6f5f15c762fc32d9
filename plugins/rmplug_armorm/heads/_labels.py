"""Labels for attribute heads: read from several data sets, matched to states, scaled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Responses, notice, text_of
from rmplug.arrays import Array
from rmplug.errors import some

Labelled: TypeAlias = Responses | Features


@dataclass(frozen=True)
class LabelColumn:
    """The column of an attribute's labels, and the least and greatest value in it."""

    column: str
    low: float = 0.0
    high: float = 1.0
    step: str | None = None
    """The data set whose labels are meant; all that have the column, if it is None."""


@dataclass(frozen=True)
class AttributeLabels:
    """The labels of the rows of all states, one data set after the other."""

    names: tuple[str, ...]
    values: Array
    """Shape (n, K), scaled to 0 at the declared least label and 1 at the greatest; NaN missing."""
    low: Array
    high: Array
    groups: Array
    """A number per row; rows of one prompt have the same, in whichever data set they are."""
    ids: pa.ChunkedArray
    characters: Array
    """Length of the response of each row; NaN where the texts are not at hand."""

    @cached_property
    def labelled(self) -> Array:
        """A mask of the labels that are present, shape (n, K)."""
        return ~np.isnan(self.values)

    def groups_of(self, k: int) -> int:
        """Count the groups that have labels of an attribute."""
        return int(np.count_nonzero(np.bincount(self.groups[self.labelled[:, k]])))


def read_labels(
    attributes: Mapping[str, LabelColumn], states: Sequence[Features], data: Sequence[Labelled]
) -> AttributeLabels:
    """Read the labels of the rows of ``states``, each from the data set of the same index."""
    if len(states) != len(data):
        raise DataError(
            f"states come from {len(states)} steps and labels from {len(data)}; give for each data "
            "set its states, in the same order"
        )
    _check_names(attributes, data)
    parts = [_of_one_set(attributes, one, labels) for one, labels in zip(states, data, strict=True)]
    low, high = (
        np.array([getattr(a, end) for a in attributes.values()]) for end in ("low", "high")
    )
    values = (np.concatenate([part.values for part in parts]) - low) / (high - low)
    ids = pa.chunked_array([part.ids for part in parts], pa.string())
    groups = pa.chunked_array([part.groups for part in parts], pa.string())
    labels = AttributeLabels(
        tuple(attributes),
        values,
        low,
        high,
        _numbered(groups),
        ids,
        np.concatenate([part.characters for part in parts]),
    )
    _check_values(labels)
    return labels


def _check_names(attributes: Mapping[str, LabelColumn], data: Sequence[Labelled]) -> None:
    sets = {labels.name: labels.columns for labels in data}
    for name, attribute in attributes.items():
        if attribute.step is not None and attribute.step not in sets:
            raise DataError(
                f"attribute {name} is of {attribute.step!r}, which is not among the data: "
                f"{some(list(sets), 12)}"
            )
        searched = [sets[attribute.step]] if attribute.step else list(sets.values())
        if not any(attribute.column in columns for columns in searched):
            rated = [c for columns in searched for c in columns if c.startswith("ratings.")]
            raise DataError(
                f"attribute {name}: no data set has a column {attribute.column!r}; there is "
                f"{some(rated or [c for columns in searched for c in columns], 20)}"
            )


def _check_values(labels: AttributeLabels) -> None:
    for k, name in enumerate(labels.names):
        values = labels.values[:, k]
        groups = labels.groups_of(k)
        if groups < 2:
            raise DataError(
                f"attribute {name} has labels in {groups} groups (prompts) and needs 2 at "
                "least; leave it out of attributes, or give data that are rated for it"
            )
        outside = (values < 0) | (values > 1)
        ids = labels.ids.filter(pa.array(outside)).to_pylist()
        notice(f"{name} is outside its declared range {labels.low[k]:g} to {labels.high[k]:g}", ids)
    unlabelled = ~labels.labelled.any(axis=1)
    notice("no label of any attribute", labels.ids.filter(pa.array(unlabelled)).to_pylist())


@dataclass(frozen=True)
class _Part:
    values: Array
    ids: pa.Array
    groups: pa.Array
    characters: Array


def _of_one_set(attributes: Mapping[str, LabelColumn], states: Features, data: Labelled) -> _Part:
    ids = _one(states.column("id"))
    table = _small_table(attributes, data)
    positions = pc.index_in(ids, value_set=_one(table["id"]))
    if len(ids) and positions.null_count == len(ids):
        raise DataError(
            f"{states.name or 'states'} and {data.name or 'data'} have no id in common; give each "
            "data set the states that were computed from it"
        )
    lost = np.setdiff1d(np.arange(table.num_rows), positions.drop_null().to_numpy())
    notice("rows without a state", table["id"].take(lost).to_pylist(), "dropped")
    notice("states without a row of data", ids.filter(positions.is_null()).to_pylist(), "dropped")
    matched = table.take(positions)
    values = [_numbers(matched, f"label of {name}") for name in attributes]
    groups = pc.coalesce(_one(matched["group"]), ids)
    return _Part(np.column_stack(values), ids, groups, _numbers(matched, "characters"))


def _small_table(attributes: Mapping[str, LabelColumn], data: Labelled) -> pa.Table:
    """Make a table ``id, group``, the labels by attribute, and the length of the response, without
    texts."""
    return pa.Table.from_batches(list(_small_batches(attributes, data)))


def _small_batches(
    attributes: Mapping[str, LabelColumn], data: Labelled
) -> Iterator[pa.RecordBatch]:
    for batch in data.batches() if len(data) else [_empty(data)]:
        columns = {"id": batch.column("id")}
        columns["group"] = _column(batch, "group", pa.string())
        for name, attribute in attributes.items():
            here = attribute.step in (None, data.name)
            columns[f"label of {name}"] = _column(
                batch, attribute.column if here else "", pa.float64()
            )
        nothing = pa.nulls(len(batch), pa.float64())
        has_texts = "response" in batch.schema.names and isinstance(data, Responses)
        lengths = pc.utf8_length(text_of(batch.column("response"))) if has_texts else nothing
        columns["characters"] = pc.cast(lengths, pa.float64())
        yield pa.RecordBatch.from_pydict(columns)


def _empty(data: Labelled) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=data.rows.schema)


def _column(batch: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(len(batch), kind)
    column = batch.column(name)
    if kind == pa.float64() and not _is_numeric(column.type):
        raise DataError(f"the label column {name!r} is {column.type}; labels are numbers")
    return column.cast(kind)


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _numbers(table: pa.Table, name: str) -> Array:
    values = np.asarray(pc.fill_null(table[name], np.nan).to_numpy(), np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _numbered(groups: pa.ChunkedArray) -> Array:
    return np.asarray(_one(groups).dictionary_encode().indices, np.int64)


def _one(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
