"""Numbers about a finished training: held-out rows with intervals, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Pairs
from rmplug.arrays import Array
from rmplug.data.messages import count_characters, length_gap
from rmplug.data.subsets import subset_rows
from rmplug.stats.metric_rows import mean_of, measured, number, share_of, wins
from rmplug_trl.training._telling import SHOWN

from ._examples import Examples
from ._validation import HeldOut, ordered_pairs

LOSS = "loss"
"""What transformers logs the loss as."""


def final_numbers(held_out: HeldOut | None, seed: int) -> list[dict[str, Any]]:
    """Measure the held-out rows, with intervals over groups."""
    if held_out is None:
        return []
    rewards, table = held_out.rewards(), held_out.data.table
    if held_out.loss.of == "responses":
        ratings = held_out.loss.targets(table).columns["rating"]
        error = np.nanmean((rewards["response"] - ratings) ** 2, axis=1)
        rated = np.isfinite(error)
        groups = _groups(table)[rated]
        return measured({"error": error[rated]}, {"mse": mean_of("error")}, groups, seed)
    lead = held_out.leads(rewards)
    longer, rows = _longer_of_pairs(held_out)
    table = table.take(pa.array(rows))
    groups = _groups(table)
    columns = {"right": wins(lead), "loss": np.logaddexp(0, -lead), "longer": wins(longer)}
    statistics = {
        "accuracy": share_of("right"),
        "log-loss": mean_of("loss"),
        "accuracy-of-longer": share_of("longer"),
    }
    numbers = measured(columns, statistics, groups, seed)
    for name, here in sorted(subset_rows(table).items()):
        part = {column: values[here] for column, values in columns.items()}
        numbers += measured(part, statistics, groups[here], seed, name)
    return numbers


def _longer_of_pairs(held_out: HeldOut) -> tuple[Array, Array]:
    """Return, for each lead, the characters by which the better response is longer, and the row of
    the table that it belongs to."""
    table = held_out.data.table
    if isinstance(held_out.data, Pairs):
        return length_gap(table), np.arange(table.num_rows)
    above, below = ordered_pairs(table, held_out.loss)
    characters = count_characters(table["response"])
    return characters[above] - characters[below], above


def _groups(table: pa.Table) -> Array:
    coded = table["group"].combine_chunks().dictionary_encode()
    return np.asarray(coded.indices, dtype=np.int64)


def curves(
    log: Sequence[Mapping[str, Any]], history: Sequence[Mapping[str, float]], loss: str
) -> list[dict[str, Any]]:
    """Return what was logged over the steps: numbers with ``step``, of training and validation.
    ``loss`` is the name of the training's loss."""
    named = {LOSS: loss, "mean_reward": SHOWN["mean_reward"]}
    rows = [
        {**number(title, float(entry[name]), 0, subset="training"), "step": entry["step"]}
        for name, title in named.items()
        for entry in log
        if name in entry
    ]
    for entry in history:
        rows += [
            {**number(name, value, 0, subset="validation"), "step": int(entry["step"])}
            for name, value in entry.items()
            if name != "step"
        ]
    return rows


def padding_share(examples: Examples, batches: Sequence[Sequence[int]], chunks: int) -> float:
    """Return the share of padding among the tokens of an epoch's batches, each cut into chunks of
    rows of like length."""
    run = useful = 0
    for batch in batches:
        rows = np.concatenate([examples.members[index] for index in batch])
        lengths = -np.sort(-np.array([len(examples.rows[row].ids) for row in rows]))
        parts = np.array_split(lengths, min(chunks, len(lengths)))
        run += sum(int(part[0]) * len(part) for part in parts)
        useful += int(lengths.sum())
    return 1 - useful / run if run else 0.0
