"""The change of rewards when directions are taken out of states or added to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, Fit, Pairs, Responses, RewardModel, notice
from rmplug.arrays import Array
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.errors import some
from rmplug.stats.intervals import fold_interval
from rmplug.stats.metric_rows import Statistic, measured, number, share_of
from rmplug_hf.heads._linear_reward import LinearReward
from rmplug_hf.loading._state_change import AffineChange
from rmplug_hf.loading._transformer import Transformer

from ._directions_file import Direction, PlaceDirections, place_of, read_directions
from ._places import SIDES
from ._projection import (
    Projection,
    addition,
    chosen,
    head_weights,
    is_own,
    layer_of,
    projected,
    random_directions,
    removal,
    transformer_of,
)

if TYPE_CHECKING:
    from .effects import DirectionEffects

Numbers = list[dict[str, Any]]
RANDOM = "random direction"
CENTRAL = (0.025, 0.975)
TIE = 1e-6
"""Rewards that differ by less than this share of the largest one are the same."""


@dataclass(frozen=True)
class Asked:
    """The model, the rows that it is asked about, and its rewards of them as it is."""

    model: Transformer
    responses: pa.RecordBatch
    groups: Array
    paired: bool

    @cached_property
    def output(self) -> int:
        """The index of the output that is the reward."""
        names = tuple(self.model.outputs)
        if len(names) > 1 and "reward" not in names:
            raise DataError(f"the model has the outputs {some(names)}; set only: to one of them")
        return names.index("reward") if len(names) > 1 else 0

    @cached_property
    def states(self) -> Array:
        """The states that the head of a `linear-head` reads, in float64."""
        assert isinstance(self.model, LinearReward)
        return self.model.vectors(self.responses).astype(np.float64)

    @cached_property
    def before(self) -> Array:
        """The rewards of the model as it is."""
        return self.rewards_of(self.model)

    def rewards_of(self, model: RewardModel) -> Array:
        """Return the rewards (rows,) of a model."""
        scores = np.asarray(model.score(self.responses), dtype=np.float64)
        matrix: Array = scores.reshape(self.responses.num_rows, len(model.outputs))
        return matrix[:, self.output]

    def rewards_with(self, place: PlaceDirections, change: AffineChange, positions: Any) -> Array:
        """Return the rewards with the states of a place changed."""
        if positions == "all" and is_own(self.model, place.layer, place.pooling):
            assert isinstance(self.model, LinearReward)
            return np.asarray(change.apply(self.states) @ self.model.weight + self.model.bias)
        projection = Projection(place.layer, place.pooling, positions, change)
        return self.rewards_of(projected(self.model, projection))


def measure_effects(
    step: DirectionEffects, model: RewardModel, data: Pairs | Responses, directions: Fit, seed: int
) -> dict[str, list[Any]]:
    """Measure every place and target; returns the columns of the metrics."""
    places = read_directions(directions.directory)
    wanted = [place_of(places, name) for name in step.places] if step.places else places
    asked = _asked(transformer_of(model), data, step.rows, seed)
    spread = _spread(asked)
    numbers: Numbers = [
        {**row, "place": None, "layer": None, "kind": None, "model": None, "directions": None}
        for row in measured(spread, {"deviation-within-prompts": _deviation}, asked.groups, seed)
    ]
    for place in wanted:
        told = {"place": place.name, "layer": layer_of(asked.model, place.layer)}
        for row in _of_place(step, asked, place, spread, seed):
            numbers.append({**row, **told})
    return {name: [row[name] for row in numbers] for name in numbers[0]}


def _asked(model: Transformer, data: Pairs | Responses, most: int, seed: int) -> Asked:
    """Draw whole groups with two responses at least, up to so many rows of data; rows that cannot
    be scored are left out."""
    table = data.table
    paired = isinstance(data, Pairs)
    groups = np.asarray(table["group"].combine_chunks().dictionary_encode().indices)
    sizes = np.bincount(groups) * (2 if paired else 1)
    fit = sizes[groups] > 1
    notice("the only response to its prompt", table["id"].filter(pa.array(~fit)).to_pylist(),
           "dropped")  # fmt: skip
    order = np.random.default_rng(seed).permutation(len(sizes))
    rank = np.argsort(order)[groups] + np.where(fit, 0, len(sizes))
    first = np.argsort(rank, kind="stable")[: int(fit.sum())]
    ends = np.flatnonzero(np.diff(rank[first], append=-1)) + 1
    within = ends[ends <= most]
    rows = np.sort(first[: int(within[-1])]) if len(within) else first[:0]
    if len(np.unique(groups[rows])) < 2:
        raise DataError(
            "direction-effects needs 2 groups (prompts) at least with two responses each, within "
            f"rows: {most}; give more data, or more rows"
        )
    batch = one_batch(table.take(pa.array(rows)))
    sides = SIDES if paired else ("response",)
    parts = [side_of(batch, side) for side in sides]
    responses = one_batch(pa.Table.from_batches(parts))
    names = np.unique(groups[rows], return_inverse=True)[1]
    asked = Asked(model, responses, np.tile(names, len(sides)), paired)
    if not np.isfinite(asked.before).all():
        raise DataError("the model gives rewards that are not finite numbers; leave these rows out")
    return asked


def _spread(asked: Asked) -> dict[str, Array]:
    """Return columns from whose sums ``_deviation`` is computed."""
    counts = np.bincount(asked.groups)
    means = np.bincount(asked.groups, asked.before) / counts
    squares = (asked.before - means[asked.groups]) ** 2
    if squares.max() <= (TIE * np.abs(asked.before).max()) ** 2:
        raise DataError("the model gives all responses to a prompt the same reward: nothing to see")
    return {"squares": squares, "freedom": 1 - 1 / counts[asked.groups]}


def _deviation(sums: Mapping[str, Array]) -> Array:
    return np.asarray(np.sqrt(sums["squares"] / sums["freedom"]))


def _in_deviations(name: str) -> Statistic:
    """Return the statistic that is the mean of a column in units of the rewards' deviation."""

    def ratio(sums: Mapping[str, Array]) -> Array:
        deviation, mean = _deviation(sums), np.asarray(sums[name] / sums["n"])
        empty = np.full(mean.shape, np.nan)
        return np.asarray(np.divide(mean, deviation, out=empty, where=deviation > 0))

    return ratio


def _of_place(
    step: DirectionEffects, asked: Asked, place: PlaceDirections, spread: Mapping[str, Array],
    seed: int,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    targets = chosen(place, step.targets)
    for name, direction in targets.items():
        columns = _changes(step, asked, place, direction)
        told: dict[str, Any] = {"kind": None, "model": None, "directions": len(direction.weights)}
        yield from ({**row, **told} for row in _rows(columns, asked, spread, seed, name))
    for count in sorted({len(direction.weights) for direction in targets.values()}):
        columns = _changes_by_chance(step, asked, place, count)
        name = RANDOM if count == 1 else f"{count} {RANDOM}s"
        told = {"kind": "baseline", "model": name, "directions": count}
        yield from ({**row, **told} for row in _rows(columns, asked, spread, seed, name))
    yield from ({**row, "directions": 1} for row in _cosines(step, asked, place))


def _changes_by_chance(
    step: DirectionEffects, asked: Asked, place: PlaceDirections, count: int
) -> dict[str, Array]:
    """Return the mean changes when so many random directions are taken out together."""
    draws = range(min(step.random, len(place.random) // count))
    drawn = [random_directions(place, number, count) for number in draws]
    several = [_changes(step, asked, place, one, added=False) for one in drawn]
    return {key: np.mean([one[key] for one in several], axis=0) for key in several[0]}


def _changes(
    step: DirectionEffects,
    asked: Asked,
    place: PlaceDirections,
    direction: Direction,
    added: bool = True,
) -> dict[str, Array]:
    """Return the change of each row's reward when a direction is taken out of its states, or
    ``added``."""
    changes = {"removed": removal(place, [direction], step.projection)}
    if added and len(direction.weights) == 1:
        changes |= {
            name: addition(place, direction, step.projection, deviations)
            for name, deviations in (("plus", 1.0), ("minus", -1.0))
        }
    after = {name: asked.rewards_with(place, c, step.positions) for name, c in changes.items()}
    columns = {name: rewards - asked.before for name, rewards in after.items()}
    if asked.paired:
        order = [_order(rewards, asked.before) for rewards in (asked.before, after["removed"])]
        columns["changed"] = np.tile((order[0] != order[1]).astype(np.float64), 2)
    return {**columns, "removed": np.abs(columns["removed"])}


def _order(rewards: Array, before: Array) -> Array:
    """Return which side of each pair has the higher reward: 1, -1, or 0 where they differ by no
    more than rounding."""
    lead = np.subtract(*np.split(rewards, 2))
    return np.sign(np.where(np.abs(lead) > TIE * np.abs(before).max(), lead, 0.0))


def _rows(
    columns: Mapping[str, Array], asked: Asked, spread: Mapping[str, Array], seed: int, name: str
) -> Numbers:
    statistics = {
        f"reward-change-{key}": _in_deviations(key)
        for key in ("removed", "plus", "minus")
        if key in columns
    }
    rows = measured({**spread, **columns}, statistics, asked.groups, seed, name)
    if asked.paired:
        half = len(asked.groups) // 2
        changed = {"changed": columns["changed"][:half]}
        share = {"preference-changed": share_of("changed")}
        rows += measured(changed, share, asked.groups[:half], seed, name)
    return rows


def _cosines(step: DirectionEffects, asked: Asked, place: PlaceDirections) -> Numbers:
    """Return the cosine of the head's weights with each probe's, where it reads these states."""
    heads = head_weights(asked.model)
    last = layer_of(asked.model, place.layer) == layer_of(asked.model, None)
    if heads is None or not last:
        return []
    head = heads[asked.output]
    rows = []
    for name, direction in chosen(place, step.targets).items():
        if len(direction.weights) == 1:
            folds = cosines(direction.of_folds[:, 0], head)
            [value] = cosines(direction.weights, head)
            rows.append({**number("cosine", float(value), len(folds), *fold_interval(folds), name),
                         "kind": None, "model": None})  # fmt: skip
    by_chance = cosines(place.random, head)
    low, high = np.quantile(by_chance, CENTRAL)
    found = number("cosine", float(by_chance.mean()), len(by_chance), low, high, RANDOM)
    return [*rows, {**found, "kind": "baseline", "model": RANDOM}]


def cosines(rows: Array, one: Array) -> Array:
    """Return the cosine of each row (n, d) with one vector (d,)."""
    sizes = np.linalg.norm(rows, axis=1) * np.linalg.norm(one)
    return np.asarray(rows @ one / np.maximum(sizes, 1e-300))
