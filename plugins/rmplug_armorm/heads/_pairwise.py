"""One Bradley-Terry head per attribute, on the pairs that were judged for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.stats.metric_rows import mean_of, measured, share_of, wins

from ._heads_file import Heads, write_heads
from ._pair_differences import (
    group_codes,
    length_differences,
    minimise_loss,
    preference_loss,
    root_mean_squares,
    search,
    search_numbers,
    state_differences,
)
from ._splits import grouped_split


@dataclass(frozen=True)
class PairwiseSettings:
    """The parameters of ``pairwise-heads``."""

    by: str
    attributes: tuple[str, ...] | None
    l2: tuple[float, ...]
    folds: int


def fit(
    settings: PairwiseSettings, states: Features, data: Pairs, seed: int, directory: Path
) -> list[dict[str, Any]]:
    """Fit all heads, write them to ``directory``, and return the held-out numbers."""
    differences = state_differences(states, data)
    longer = length_differences(data, "characters")
    weights, numbers = [], []
    rows_of = attribute_rows(settings, data)
    for attribute, rows in rows_of.items():
        groups = group_codes(data.take(pa.array(rows)), f"attribute {attribute!r}")
        weight, head_numbers = fit_one(
            settings, attribute, differences[rows], longer[rows], groups, seed
        )
        weights.append(weight)
        numbers += head_numbers
    count = len(weights)
    heads = Heads(
        tuple(rows_of), np.stack(weights), np.zeros(count), np.zeros(count), np.ones(count)
    )
    write_heads(directory, heads, {"state": "response", "learnt-from": "pairs"})
    return numbers


def attribute_rows(settings: PairwiseSettings, data: Pairs) -> Mapping[str, Array]:
    """List the rows of the pairs that were judged for each attribute."""
    if settings.by not in data.columns or not pa.types.is_string(
        data.table.schema.field(settings.by).type
    ):
        texts = [f.name for f in data.table.schema if pa.types.is_string(f.type)]
        raise DataError(
            f"{data.name or 'the pairs'} has no text column {settings.by!r} that names attributes; "
            f"write by: and one of {some(texts, 12)}"
        )
    column = data[settings.by]
    unnamed = pc.is_null(column)
    notice(f"{settings.by} is missing", data["id"].filter(unnamed).to_pylist(), "dropped")
    present = sorted(filter(None, column.unique().to_pylist()))
    wanted = settings.attributes or tuple(present)
    missing = [name for name in wanted if name not in present]
    if missing or not wanted:
        raise DataError(
            f"no pair has {settings.by} {missing[0] if missing else ''!r}; there are "
            f"{some(present, 12)}"
        )
    named = {name: pc.fill_null(pc.equal(column, name), False) for name in wanted}
    return {name: np.flatnonzero(mask.to_numpy()) for name, mask in named.items()}


def fit_one(
    settings: PairwiseSettings,
    attribute: str,
    differences: Array,
    longer: Array,
    groups: Array,
    seed: int,
) -> tuple[Array, list[dict[str, Any]]]:
    """Fit the weights of one head; also returns its numbers."""
    sizes = root_mean_squares(differences)
    scaled = differences / sizes

    def learn(rows: Array, l2: float) -> Array:
        return bradley_terry(scaled[rows], l2)

    split = grouped_split(groups, np.ones((len(groups), 1), bool), settings.folds, seed)
    result = search(
        learn, lambda weight, rows: scaled[rows] @ weight, lambda m: m, split.part, settings.l2
    )
    margins = result.held_out()
    columns = {
        "right": wins(margins),
        "loss": np.logaddexp(0, -margins),
        "right by length": wins(longer),
    }
    statistics = {
        "accuracy": share_of("right"),
        "log-loss": mean_of("loss"),
        "accuracy-of-longer": share_of("right by length"),
    }
    numbers = measured(columns, statistics, groups, seed, attribute)
    weight = learn(np.arange(len(scaled)), result.strength) / sizes
    return weight, [*numbers, *search_numbers(result, groups, attribute)]


def bradley_terry(differences: Array, l2: float) -> Array:
    """Fit weights that minimise the mean preference loss plus ``l2 / 2`` times their squares."""

    def loss(weight: Array) -> tuple[float, Array]:
        value, slope = preference_loss(differences @ weight)
        return value + l2 / 2 * float(weight @ weight), differences.T @ slope + l2 * weight

    return minimise_loss(loss, np.zeros(differences.shape[1]))
