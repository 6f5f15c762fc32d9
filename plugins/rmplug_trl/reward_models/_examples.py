"""The examples of a training: tokens of conversations with their targets, and padded batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError, Pairs, Responses, notice
from rmplug.arrays import Array
from rmplug.data.choices import choice_of_each
from rmplug.data.sides import side_of
from rmplug.models.trainable import TokenRow, TrainableModel
from rmplug.models.training_examples import MOST_EXAMPLES, MOST_TEXTS, TrainingExample
from rmplug_trl.training._shown import text_of

from ._targets import Targets, ids_of
from .losses import RewardLoss

BATCH = 1024
"""Rows that are turned into tokens at once."""


@dataclass(frozen=True)
class Examples:
    """``rows`` are the tokens of all conversations; ``members`` the rows of each example, of shape
    (examples, 2) for pairs and (examples, 1) for responses, or a list of arrays for lists;
    ``columns`` what the loss needs: per example of pairs and responses, per row for lists;
    ``shown`` the first ones as the model reads them."""

    rows: Sequence[TokenRow]
    members: Sequence[Array]
    columns: Mapping[str, Array]
    ids: Sequence[str]
    shown: Sequence[TrainingExample] = ()

    def __len__(self) -> int:
        return len(self.members)

    @property
    def lengths(self) -> list[int]:
        """The tokens of the longest conversation of each example."""
        return [max(len(self.rows[row].ids) for row in rows) for rows in self.members]


def examples_of(
    model: TrainableModel, data: Pairs | Responses, loss: RewardLoss, too_long: str
) -> Examples:
    """Return the examples that a loss learns from; rows that cannot be used are counted."""
    table = data.table
    wanted = Pairs if loss.of == "pairs" else Responses
    if not isinstance(data, wanted):
        other = "bradley-terry" if isinstance(data, Pairs) else "regression or plackett-luce"
        raise DataError(
            f"this loss learns from {wanted.__name__.lower()}, not from "
            f"{type(data).__name__.lower()}; convert them (to-pairs, to-responses), or take "
            f"loss: {other}"
        )
    targets = loss.targets(table)
    names = ("chosen", "rejected") if loss.of == "pairs" else ("response",)
    usable = targets.usable & short_enough(model, table, names, too_long)
    table, columns = _kept(table, targets, usable)
    rows = [token_rows(model, table, side) for side in names]
    made = _lists(table, rows[0], columns) if loss.of == "lists" else _fixed(table, rows, columns)
    if not len(made):
        raise DataError("no row is left to learn from; see the notices for why")
    return replace(made, shown=_shown(model, table, names, made))


def _shown(
    model: TrainableModel, table: pa.Table, sides: Sequence[str], made: Examples
) -> list[TrainingExample]:
    """Return the first examples as the model reads them."""
    count = table.num_rows
    return [
        TrainingExample(
            texts=tuple(
                text_of(model, table, int(row) % count, sides[int(row) // count], made.rows[row])
                for row in rows[:MOST_TEXTS]
            )
        )
        for rows in made.members[:MOST_EXAMPLES]
    ]


def token_rows(model: TrainableModel, table: pa.Table, side: str) -> list[TokenRow]:
    """Return the tokens of one side of a table."""
    batches = table.combine_chunks().to_batches(max_chunksize=BATCH)
    return [row for batch in batches for row in model.token_rows(side_of(batch, side))]


def short_enough(
    model: TrainableModel, table: pa.Table, sides: Sequence[str], too_long: str
) -> Array:
    """Return the mask of rows that a policy keeps: those that fit, or all, which are cut."""
    if too_long == "truncate" or not table.num_rows:
        return np.ones(table.num_rows, bool)
    batches = table.combine_chunks().to_batches(max_chunksize=BATCH)
    long = np.concatenate(
        [np.any([model.too_long(side_of(batch, s)) for s in sides], axis=0) for batch in batches]
    )
    if too_long == "error" and long.any():
        raise DataError(
            f"{int(long.sum())} of {table.num_rows} rows are longer than the model's max_length "
            f"({', '.join(ids_of(table, long)[:5])}); raise max_length, or set too_long to drop or "
            "truncate"
        )
    notice("longer than the model's max_length", ids_of(table, long), "dropped")
    return np.asarray(~long)


def _kept(table: pa.Table, targets: Targets, usable: Array) -> tuple[pa.Table, dict[str, Array]]:
    columns = {name: values[usable] for name, values in targets.columns.items()}
    return table.filter(pa.array(usable)), columns


def _fixed(
    table: pa.Table, rows: Sequence[Sequence[TokenRow]], columns: Mapping[str, Array]
) -> Examples:
    """Return examples of one row, or of a chosen and a rejected one; equal ones teach nothing."""
    count = table.num_rows
    different = np.ones(count, bool)
    if len(rows) == 2:
        different = np.array(
            [not _same(one, other) for one, other in zip(*rows, strict=True)], dtype=bool
        )
        notice("chosen and rejected have the same tokens", ids_of(table, ~different), "dropped")
    flat = [row for side in rows for row in side]
    members = np.arange(len(flat)).reshape(len(rows), count).T[different]
    ids = np.asarray(table["id"].to_pylist(), dtype=object)[different]
    return Examples(
        flat, list(members), {n: v[different] for n, v in columns.items()}, ids.tolist()
    )


def _same(one: TokenRow, other: TokenRow) -> bool:
    return np.array_equal(one.ids, other.ids)


def _lists(table: pa.Table, rows: Sequence[TokenRow], columns: Mapping[str, Array]) -> Examples:
    """Return one example for each prompt with two responses of different rank, at least."""
    choice = choice_of_each(table)
    order = np.argsort(choice, kind="stable")
    starts = np.flatnonzero(np.diff(choice[order], prepend=-1))
    lists = np.split(order, starts[1:]) if len(order) else []
    ordered = [rows_of for rows_of in lists if len(np.unique(columns["rank"][rows_of])) > 1]
    ids = table["id"].to_pylist()
    lost = {int(row) for rows_of in lists for row in rows_of}
    lost -= {int(row) for rows_of in ordered for row in rows_of}
    notice("nothing is ranked above or below it", [ids[row] for row in sorted(lost)], "dropped")
    return Examples(rows, ordered, columns, [ids[rows_of[0]] for rows_of in ordered])


@dataclass(frozen=True)
class Collating:
    """A maker of batches: padded on the right, to the longest row of the batch."""

    examples: Examples
    padding: int

    def __call__(self, picked: Sequence[Mapping[str, int]]) -> dict[str, torch.Tensor]:
        """Return ``input_ids``, ``attention_mask`` and, where there are segments,
        ``token_type_ids``, of shape (rows, longest); the columns of the loss; and ``example``, the
        numbers of the examples. Rows come by their position in the example: all chosen first."""
        here = np.array([entry["index"] for entry in picked])
        members = [self.examples.members[index] for index in here]
        equal = len({len(rows) for rows in members}) == 1
        order = np.stack(members).T.ravel() if equal else np.concatenate(members)
        batch = padded([self.examples.rows[row] for row in order], self.padding)
        by_row = "rank" in self.examples.columns
        for name, values in self.examples.columns.items():
            batch[name] = torch.from_numpy(values[order if by_row else here].astype(np.float32))
        if by_row:
            numbers = np.concatenate([np.full(len(rows), n) for n, rows in enumerate(members)])
            number_of = dict(zip(np.concatenate(members).tolist(), numbers.tolist(), strict=True))
            batch["list"] = torch.tensor([number_of[int(row)] for row in order])
        return {**batch, "example": torch.from_numpy(here)}


def padded(rows: Sequence[TokenRow], padding: int) -> dict[str, Any]:
    """Return rows as one batch of the arguments of a model's ``forward``."""
    lengths = np.array([len(row.ids) for row in rows])
    here = np.arange(int(lengths.max())) < lengths[:, None]
    ids = np.full(here.shape, padding, dtype=np.int64)
    ids[here] = np.concatenate([row.ids for row in rows])
    batch = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(here.astype(np.int64)),
    }
    if any(row.segments is not None for row in rows):
        segments = np.zeros_like(ids)
        segments[here] = np.concatenate(
            [np.zeros(len(r.ids), np.int64) if r.segments is None else r.segments for r in rows]
        )
        batch["token_type_ids"] = torch.from_numpy(segments)
    return batch
