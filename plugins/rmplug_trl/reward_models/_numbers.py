"""Numbers about a finished training: held-out rows with intervals, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Pairs, Responses
from rmplug.arrays import Array
from rmplug.data.messages import count_characters
from rmplug.data.subsets import subset_rows
from rmplug.stats.metric_rows import Statistic, mean_of, measured, number, share_of, wins
from rmplug_trl.training._telling import SHOWN

from ._examples import Examples
from ._validation import HeldOut

LOSS = "loss"
"""What transformers logs the loss as."""


def final_numbers(
    held_out: HeldOut | None, seed: int, means: Array | None = None
) -> list[dict[str, Any]]:
    """Measure the held-out rows, with intervals over groups; ``means`` are those of the ratings
    that were learnt from."""
    if held_out is None:
        return []
    rewards, table = held_out.rewards(), held_out.data.table
    if held_out.loss.of == "responses":
        return _of_ratings(rewards["response"], held_out.ratings, means, _groups(table), seed)
    lead = held_out.leads(rewards)
    better, worse = held_out.order
    lengths = np.concatenate([count_characters(column) for column in _texts(held_out.data)])
    table = table.take(pa.array(better % table.num_rows))
    groups = _groups(table)
    columns = {
        "right": wins(lead),
        "loss": np.logaddexp(0, -lead),
        "longer": wins(lengths[better] - lengths[worse]),
    }
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


def _of_ratings(
    rewards: Array, ratings: Array, means: Array | None, groups: Array, seed: int
) -> list[dict[str, Any]]:
    """Return the mean squared error over ratings, and that of giving every response the means."""
    rated = np.isfinite(ratings)
    here = rated.any(axis=1)
    guesses = {"mse": rewards} if means is None else {"mse": rewards, "mse-of-mean": means}
    columns = {
        name: np.nansum((guess - ratings) ** 2, axis=1)[here] for name, guess in guesses.items()
    }
    statistics = {name: _share_of_ratings(name) for name in guesses}
    columns["ratings"] = rated.sum(axis=1)[here].astype(float)
    return measured(columns, statistics, groups[here], seed)


def _share_of_ratings(name: str) -> Statistic:
    return lambda sums: sums[name] / sums["ratings"]


def _texts(data: Pairs | Responses) -> list[pa.ChunkedArray]:
    sides = ("chosen", "rejected") if isinstance(data, Pairs) else ("response",)
    return [data.table[side] for side in sides]


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
