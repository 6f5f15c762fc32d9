"""Pairs labelled by a model, and pairs made with responses to other prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import minimize_scalar
from scipy.special import expit

from rmplug import DataError, Features, Pairs, notice
from rmplug.arrays import Array

SIDES = ("chosen", "rejected")


def pseudo_labelled(
    data: Pairs,
    reward: Features,
    labelled: Pairs | None,
    labelled_reward: Features | None,
    *,
    threshold: float,
    weigh: bool,
) -> Pairs:
    """Label the pairs that the model is sure of; the others are left out."""
    if (labelled is None) != (labelled_reward is None):
        raise DataError("labelled and labelled_reward belong together; give both or neither")
    margins = margins_of(reward, data)
    temperature = 1.0
    if labelled is not None and labelled_reward is not None:
        temperature = fitted_temperature(margins_of(labelled_reward, labelled))
    chance = expit(margins / temperature)
    confidence = np.maximum(chance, 1 - chance)
    unknown = ~np.isfinite(margins)
    unsure = ~unknown & ~(confidence >= threshold)
    _tell("the margin is not a finite number", data, unknown)
    _tell(f"probability of the label below {threshold:g}", data, unsure)
    kept = np.flatnonzero(~unknown & ~unsure)
    exchanged = margins[kept] < 0
    table = exchange(data.table.take(pa.array(kept)), exchanged)
    columns = {"confidence": confidence[kept], "relabelled": exchanged}
    if weigh:
        columns["weight"] = 2 * confidence[kept] - 1
    for name, values in columns.items():
        table = with_column(table, name, pa.array(values))
    return Pairs(table, data.name)


def margins_of(reward: Features, data: Pairs) -> Array:
    """Read the margins of a reward on exactly these pairs."""
    if "margin" not in reward.values:
        raise DataError(
            f"{reward.name or 'reward'} has no column margin; ask for the reward of the pairs with "
            "kind: reward"
        )
    if not reward["id"].equals(data["id"]):
        raise DataError(
            f"{reward.name or 'reward'} is not of the rows of {data.name or 'the pairs'}; ask for "
            "the reward of these pairs"
        )
    return np.asarray(reward["margin"].to_numpy(), np.float64)


def fitted_temperature(margins: Array) -> float:
    """Fit the divisor of margins of labelled pairs that has the least log-loss."""
    finite = margins[np.isfinite(margins)]
    size = float(np.sqrt(np.mean(finite**2))) if len(finite) else 0.0
    if not size:
        raise DataError("the model has no margin other than 0 on the labelled pairs: not usable")

    def loss(logarithm: float) -> float:
        return float(np.logaddexp(0, -finite / (size * np.exp(logarithm))).mean())

    minimum = minimize_scalar(loss, bounds=(-7, 7), method="bounded")
    return size * float(np.exp(minimum.x))


def exchange(table: pa.Table, rows: Array) -> pa.Table:
    """Exchange chosen and rejected in some rows."""
    mask = pa.array(rows)
    chosen, rejected = (table[side].combine_chunks() for side in SIDES)
    positions = {name: table.schema.get_field_index(name) for name in SIDES}
    new = pc.if_else(mask, rejected, chosen), pc.if_else(mask, chosen, rejected)
    for name, column in zip(SIDES, new, strict=True):
        table = table.set_column(positions[name], name, column)
    return table


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    if name not in table.column_names:
        return table.append_column(name, values)
    return table.set_column(table.schema.get_field_index(name), name, values)


def _tell(what: str, data: Pairs, rows: Array) -> None:
    if rows.any():
        notice(what, data["id"].filter(pa.array(rows)).to_pylist(), "dropped")


def with_off_topic(data: Pairs, *, partners: int, ties: bool, weight: float, seed: int) -> Pairs:
    """Return the pairs, each followed by those made of it and its partners."""
    table = labelled_as(data.table, "original", None)
    if not len(data):
        return Pairs(table, data.name)
    partner_rows = other_groups(group_codes(data), partners, np.random.default_rng(seed))
    added = [pair for rows in partner_rows for pair in _pairs_with(rows, ties)]
    parts = [table]
    for number, (chosen, rejected, origin, share) in enumerate(added, start=1):
        made = _replace_sides(data, chosen, rejected, f"/off-topic-{number}")
        parts.append(labelled_as(made, origin, weight * share))
    whole = pa.concat_tables(parts)
    order = np.arange(len(whole)).reshape(len(parts), len(data)).T.ravel()
    return Pairs(whole.take(pa.array(order)), data.name)


Side: TypeAlias = "tuple[str, Array | None]"
"""A side of a pair, and the rows that it is taken from; None for the pair's own."""


def _pairs_with(rows: Array, ties: bool) -> Iterator[tuple[Side, Side, str, float]]:
    """Return chosen, rejected, origin and share of the weight of each pair made with partners."""
    for own, other in product(SIDES, SIDES):
        yield (own, None), (other, rows), "off-topic", 1.0
    if ties:
        for first, second in (SIDES, SIDES[::-1]):
            yield (first, rows), (second, rows), "neutral", 0.5


def group_codes(data: Pairs) -> Array:
    codes = data["group"].combine_chunks().dictionary_encode().indices.to_numpy()
    if codes.max() < 1:
        raise DataError(
            "off-topic pairs need the responses of other prompts, and all pairs are of one group; "
            "give pairs of at least 2 prompts"
        )
    return np.asarray(codes)


def other_groups(groups: Array, partners: int, rng: np.random.Generator) -> list[Array]:
    """Draw for each row ``partners`` rows of other groups."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    own, before = sizes[groups], starts[groups]
    partner_rows = []
    for _ in range(partners):
        offset = (rng.random(len(groups)) * (len(groups) - own)).astype(np.int64)
        partner_rows.append(order[offset + np.where(offset >= before, own, 0)])
    return partner_rows


def _replace_sides(data: Pairs, chosen: Side, rejected: Side, ending: str) -> pa.Table:
    """Return the pairs with other sides, ids of their own, and no margin."""
    table = data.table
    for name, (side, rows) in {"chosen": chosen, "rejected": rejected}.items():
        column = data[side] if rows is None else data[side].take(pa.array(rows))
        table = table.set_column(table.schema.get_field_index(name), name, column)
    ids = pc.binary_join_element_wise(data["id"], ending, "")
    table = table.set_column(table.schema.get_field_index("id"), "id", ids)
    if "margin" in table.column_names:
        table = with_column(table, "margin", pa.nulls(len(table), table["margin"].type))
    return table


def labelled_as(table: pa.Table, origin: str, weight: float | None) -> pa.Table:
    """Return the rows with an origin and a weight; without one, their own weight stays, or is 1."""
    rows = len(table)
    names: Sequence[str] = table.column_names
    values = np.full(rows, 1.0 if weight is None else weight)
    column: Any = pa.array(values)
    if weight is None and "weight" in names:
        column = pc.fill_null(table["weight"].cast(pa.float64()), 1.0)
    table = with_column(table, "weight", column)
    return with_column(table, "origin", pa.repeat(pa.scalar(origin, pa.string()), rows))
