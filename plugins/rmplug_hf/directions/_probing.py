"""The fit of probes at every place, with their numbers beside those of shuffled labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rmplug import DataError, Features, Pairs, PlanView, Responses
from rmplug.arrays import Array
from rmplug.stats.estimates import Estimate, area_under_curve, explained_variance, mean
from rmplug.stats.folds import deal_folds
from rmplug.stats.intervals import held_out_freedom
from rmplug.stats.metric_rows import estimated, number

from ._directions_file import Direction, PlaceDirections, write_directions
from ._places import Place, StateRows, places_of, read_states, rows_of
from ._probe_fits import Probed, Scaled, columns_of, fit_probes
from ._targets import Target, targets_of

if TYPE_CHECKING:
    from .probing import Probe

Numbers = list[dict[str, Any]]
SHUFFLED = "shuffled labels"
FEWEST_GROUPS = 3


@dataclass(frozen=True)
class Together:
    """Targets that the same rows have, with shuffled copies of each, and the fold of each row."""

    targets: tuple[Target, ...]
    shuffled: tuple[tuple[Target, ...], ...]
    rows: Array
    groups: Array
    fold: Array


def probe(
    step: Probe,
    states: Sequence[Features],
    target: Sequence[Features],
    data: Pairs | Responses | None,
    seed: int,
    plan: PlanView | None,
    directory: Path,
) -> Numbers:
    """Fit all places, write the directions, and return the held-out numbers of each place."""
    places = places_of(states, plan)
    rows = rows_of(places)
    targets = targets_of(target, data, step.labels, rows)
    together = list(_together(step, targets, rows, seed))
    numbers: Numbers = []
    found: list[PlaceDirections] = []
    for index, place in enumerate(places):
        whole = read_states(place, rows)
        fits = {}
        for part in together:
            scaled = Scaled.of(whole[part.rows])
            fits.update(_fit(step, scaled, part))
            numbers += _numbers(place, part, fits, step.l2)
        scaled = Scaled.of(whole)
        found.append(
            PlaceDirections(
                place.name, place.layer, place.pooling, scaled.mean,
                scaled.random_directions(seed + index),
                {one.name: _direction(one, fits[one.name, 0], whole) for one in targets},
            )
        )  # fmt: skip
    write_directions(directory, found)
    return numbers


def _together(
    step: Probe, targets: Sequence[Target], rows: StateRows, seed: int
) -> Iterator[Together]:
    """Put targets that are missing in the same rows together; deal folds before anything else."""
    masks = {target.name: np.packbits(~np.isnan(target.values)).tobytes() for target in targets}
    ordered = sorted(targets, key=lambda target: masks[target.name])
    for _, same in groupby(ordered, key=lambda target: masks[target.name]):
        part = list(same)
        kept = np.flatnonzero(~np.isnan(part[0].values))
        groups = np.unique(rows.groups[kept], return_inverse=True)[1]
        count = int(groups.max(initial=-1)) + 1
        if count < FEWEST_GROUPS:
            raise DataError(
                f"probes of {part[0].name} need rows of {FEWEST_GROUPS} groups (prompts) at least, "
                f"there are {count}; give more data"
            )
        present = tuple(replace(target, values=target.values[kept]) for target in part)
        levels = next((target.values for target in present if target.classes), None)
        fold = deal_folds(groups, min(step.folds, count), seed, levels)
        shuffled = tuple(
            tuple(_shuffle(target, groups, fold, seed + copy) for copy in range(step.shuffles))
            for target in present
        )
        yield Together(present, shuffled, kept, groups, fold)


def _shuffle(target: Target, groups: Array, fold: Array, seed: int) -> Target:
    """Give each group the labels of another one of its fold, in their order; a group with more rows
    repeats them. What groups have in common within stays, and how frequent a label is in each fold;
    what labels have to do with states goes."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    rng, fold_of = np.random.default_rng(seed), fold[order][starts]
    other = np.arange(len(sizes))
    for k in np.unique(fold_of):
        inside = np.flatnonzero(fold_of == k)
        other[inside] = rng.permutation(inside)
    within = np.arange(len(order)) - starts[groups[order]]
    source = other[groups[order]]
    values = np.empty_like(target.values)
    values[order] = target.values[order][starts[source] + within % sizes[source]]
    return replace(target, values=values)


def _fit(step: Probe, scaled: Scaled, part: Together) -> dict[tuple[str, int], Probed]:
    """Fit targets and their shuffled copies in one go; 0 is the target itself."""
    names = [
        (one.name, copy)
        for one, copies in zip(part.targets, part.shuffled, strict=True)
        for copy in range(len(copies) + 1)
    ]
    every = [
        one
        for target, copies in zip(part.targets, part.shuffled, strict=True)
        for one in (target, *copies)
    ]
    return dict(zip(names, fit_probes(scaled, every, part.fold, step.l2), strict=True))


def _direction(target: Target, probed: Probed, states: Array) -> Direction:
    values = states @ probed.weights.T
    return Direction(
        target.classes, probed.weights, probed.bias, probed.pattern, values.std(axis=0),
        probed.of_folds,
    )  # fmt: skip


def _numbers(
    place: Place, part: Together, fits: dict[tuple[str, int], Probed], grid: Sequence[float]
) -> Numbers:
    """Return the numbers of each target: of the probe, of shuffled labels, and the difference."""
    folds = int(part.fold.max()) + 1
    freedom = held_out_freedom(int(part.groups.max()) + 1, folds)
    rows: Numbers = []
    for target, copies in zip(part.targets, part.shuffled, strict=True):
        real = _measured(target, fits[target.name, 0])
        controls = [_measured(one, fits[target.name, copy]) for copy, one in enumerate(copies, 1)]
        control = {name: _average([one[name] for one in controls]) for name in real}
        over = {f"{name}-over-shuffled": _minus(real[name], control[name]) for name in real}
        floor = _floor(target)
        probed, strength = estimated({**real, **over, **floor}, part.groups, freedom), _strength(
            fits[target.name, 0], grid, len(part.rows), part
        )  # fmt: skip
        chance = estimated(control, part.groups, freedom)
        told = {"subset": target.name, "place": place.name, "layer": place.layer}
        rows += [{**row, **told} for row in [*probed, *strength]]
        rows += [{**row, **told, "kind": "baseline", "model": SHUFFLED} for row in chance]
    return rows


def _measured(target: Target, probed: Probed) -> dict[str, Estimate]:
    """Estimate R² of a number, or accuracy and AUC of classes, held out."""
    if not target.classes:
        return {"r2": explained_variance(target.values, probed.scores[:, 0])}
    if len(target.classes) == 2:
        guess = (probed.scores[:, 0] > 0).astype(np.float64)
    else:
        guess = probed.scores.argmax(axis=1).astype(np.float64)
    higher = columns_of(target)
    areas = [area_under_curve(higher[:, c], probed.standing[:, c]) for c in range(higher.shape[1])]
    right = (guess == target.values).astype(np.float64)
    return {"accuracy": mean(right, "share"), "auc": _average(areas)}


def _floor(target: Target) -> dict[str, Estimate]:
    """Estimate the share of the most frequent class: of all rows, since the one of the training
    rows is the rarer one in a fold where classes are even."""
    if not target.classes:
        return {}
    most = np.bincount(target.values.astype(np.int64)).argmax()
    return {"accuracy-of-majority": mean((target.values == most).astype(np.float64), "share")}


def _average(estimates: Sequence[Estimate]) -> Estimate:
    value = float(np.mean([one.value for one in estimates]))
    influence = np.mean([one.influence for one in estimates], axis=0)
    return Estimate(value, influence, estimates[0].scale)


def _minus(one: Estimate, other: Estimate) -> Estimate:
    return Estimate(one.value - other.value, one.influence - other.influence, "plain")


def _strength(probed: Probed, grid: Sequence[float], rows: int, part: Together) -> Numbers:
    strengths = sorted(set(grid), reverse=True)
    edge = len(strengths) > 1 and probed.strength in (0, len(strengths) - 1)
    return [
        number("l2", strengths[probed.strength], rows),
        number("l2-at-edge", float(edge), rows),
        number("groups", int(part.groups.max()) + 1, rows),
    ]
