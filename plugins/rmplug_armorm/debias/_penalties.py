"""Penalties that free attribute rewards of a confound: found, measured held out, applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Predictor, join, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.stats.metric_rows import (
    Statistic,
    measured_together,
    middle_ranks,
    number,
    rank_columns,
    spearman_of,
)
from rmplug_armorm.heads._splits import grouped_split
from rmplug_armorm.heads.attributes import Debias

from ._transform_file import Transform, read_about, read_transform, write_transform

PUBLISHED = (
    *(0.0, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15),
    *(round(0.05 * step, 2) for step in range(4, 20)),
)
"""The penalties of the published rule, in order."""
CYCLES, HALVINGS = 20, 40
AIM = 0.1
"""Penalties are sought until the correlation is within this part of the tolerance."""


@dataclass(frozen=True)
class Rewards:
    """Rewards (n, K) of attributes, and confounds (n, C), of the rows that have all of them."""

    names: tuple[str, ...]
    values: Array
    against: tuple[str, ...]
    confounds: Array
    groups: Array

    @property
    def measures(self) -> tuple[str, ...]:
        """The confounds that are no attributes."""
        return tuple(name for name in self.against if name not in self.names)

    def where(self, rows: Array) -> Rewards:
        """Some of the rows."""
        parts = {n: getattr(self, n)[rows] for n in ("values", "confounds", "groups")}
        return replace(self, **parts)


def fit(
    step: Debias,
    rewards: Features,
    measures: Sequence[Features] | None,
    seed: int,
    directory: Path,
) -> list[dict[str, Any]]:
    """Writes the transform to ``directory``; gives the numbers about it."""
    known = read_rewards(step, rewards, measures)
    find = _published(step) if step.compat else _two_sided(step)
    penalties, reached = find(known)
    names = known.names + known.measures
    matrix = matrix_of(names, known, penalties)
    about = {
        "kind": step.kind,
        "against": list(known.against),
        "measures": list(known.measures),
        "penalties": {n: p.tolist() for n, p in zip(known.names, penalties, strict=True)},
        "compat": step.compat,
    }
    write_transform(directory, Transform(names, matrix), about)
    after = held_out(known, find, step.folds, seed)
    numbers = _numbers(known, after, seed) + _penalty_numbers(step, known, penalties, reached)
    _tell(step, numbers)
    return numbers


def read_rewards(step: Debias, rewards: Features, measures: Sequence[Features] | None) -> Rewards:
    """The rows that have all rewards and confounds; others are left out and counted."""
    names = tuple(
        f.name
        for f in rewards.rows.schema
        if f.name in rewards.values and not pa.types.is_fixed_size_list(f.type)
    )
    joined = join([rewards, *(measures or ())]).table
    found = {name: f"{rewards.name}.{name}" for name in names}
    places = {**{column: column for column in joined.column_names}, **found}
    unknown = [name for name in step.against if name not in places]
    if unknown or not names:
        said = f"{unknown[0]!r} is neither" if unknown else "there is no"
        raise DataError(
            f"{said} an attribute of {rewards.name or 'rewards'} nor a column of measures; there "
            f"is {some([*names, *(c for c in joined.column_names if c not in found.values())], 20)}"
        )
    _check_compat(step, names)
    columns = [*(places[name] for name in names), *(places[name] for name in step.against)]
    values = np.column_stack(
        [pc.fill_null(joined[c].cast(pa.float64()), np.nan).to_numpy() for c in columns]
    )
    whole = np.isfinite(values).all(axis=1)
    notice("a reward or measure is missing", joined["id"].filter(pa.array(~whole)).to_pylist())
    groups = joined["group" if "group" in joined.column_names else "id"].combine_chunks()
    numbered = np.asarray(groups.dictionary_encode().indices, np.int64)
    known = Rewards(
        names,
        values[whole, : len(names)],
        step.against,
        values[whole, len(names) :],
        np.unique(numbered[whole], return_inverse=True)[1],
    )
    _check_rows(known)
    return known


def _check_compat(step: Debias, names: Sequence[str]) -> None:
    if step.compat and (len(step.against) != 1 or step.against[0] not in names):
        raise DataError(
            "with compat: original rewards are freed of one attribute; write against: and one of "
            f"{some(list(names), 20)}, or leave compat out"
        )


def _check_rows(known: Rewards) -> None:
    groups = len(np.unique(known.groups))
    if groups < 2:
        raise DataError(
            f"debias needs rows of at least 2 groups (prompts) and there are {len(known.groups)} "
            f"rows of {groups}; give more data"
        )
    same = np.ptp(known.confounds, axis=0) == 0
    if same.any():
        name = known.against[int(np.argmax(same))]
        raise DataError(
            f"{name} is the same in all rows: rewards cannot depend on it; leave it out"
        )


def matrix_of(names: Sequence[str], known: Rewards, penalties: Array) -> Array:
    """The transform: each reward less its penalties times the confounds; confounds become 0."""
    matrix = np.eye(len(names))
    for c, confound in enumerate(known.against):
        matrix[names.index(confound), : len(known.names)] -= penalties[:, c]
    for confound in known.against:
        matrix[:, names.index(confound)] = 0
    return matrix


Penalties: TypeAlias = tuple[Array, Array]
"""Penalties (K, C), and the correlations (K, C) that they reach on the rows they were found on."""
Find: TypeAlias = Callable[[Rewards], Penalties]


def _published(step: Debias) -> Find:
    def find(known: Rewards) -> Penalties:
        found = [
            (1.0, 1.0)
            if name in known.against
            else published_penalty(known.values[:, k], known.confounds[:, 0], step.tolerance)
            for k, name in enumerate(known.names)
        ]
        penalties, reached = np.array(found).T
        return penalties[:, None], reached[:, None]

    return find


def published_penalty(reward: Array, confound: Array, threshold: float) -> tuple[float, float]:
    """The first penalty with a rank correlation of at most the threshold, and that correlation; 1
    and the least correlation seen, if there is none."""
    ranks = Ranks(confound)
    least = np.inf
    for penalty in PUBLISHED:
        correlation = ranks.correlation(reward - penalty * confound)
        least = min(least, correlation)
        if correlation <= threshold:
            return penalty, correlation
    return 1.0, float(least)


def _two_sided(step: Debias) -> Find:
    def find(known: Rewards) -> Penalties:
        ranks = [Ranks(confound) for confound in known.confounds.T]
        penalties = np.zeros((len(known.names), len(ranks)))
        reached = np.zeros_like(penalties)
        for k, name in enumerate(known.names):
            if name in known.against:
                penalties[k] = np.array(known.against) == name
                continue
            penalties[k], reached[k] = two_sided_penalties(
                known.values[:, k], known.confounds, ranks, AIM * step.tolerance
            )
        return penalties, reached

    return find


class Ranks:
    """The ranks of a confound, to correlate many rewards with."""

    def __init__(self, values: Array) -> None:
        centred = middle_ranks(values) - (len(values) + 1) / 2
        self.unit = centred / np.linalg.norm(centred)

    def correlation(self, values: Array) -> float:
        """Spearman's rank correlation; 0 with what is the same everywhere."""
        centred = middle_ranks(values) - (len(values) + 1) / 2
        size = np.linalg.norm(centred)
        return float(self.unit @ centred / size) if size > 0 else 0.0


def two_sided_penalties(
    reward: Array, confounds: Array, ranks: Sequence[Ranks], aim: float
) -> tuple[Array, Array]:
    """Penalties (C,) that leave a rank correlation within ``aim`` of 0 with each confound, from the
    slopes of least squares on, one confound after the other until all hold; and what is left."""
    scales = confounds.std(axis=0)
    centred = (confounds - confounds.mean(axis=0)) / scales
    slopes, *_ = np.linalg.lstsq(centred, reward - reward.mean(), rcond=None)
    for _ in range(CYCLES):
        left = np.array([rank.correlation(reward - centred @ slopes) for rank in ranks])
        worst = int(np.argmax(np.abs(left)))
        rest = reward - centred @ np.where(np.arange(len(ranks)) == worst, 0, slopes)
        before = float(slopes[worst])
        slopes[worst] = _root(rest, centred[:, worst], ranks[worst], before, aim)
        if slopes[worst] == before or len(ranks) == 1:
            break
    left = np.array([rank.correlation(reward - centred @ slopes) for rank in ranks])
    return slopes / scales, left


def _root(reward: Array, confound: Array, ranks: Ranks, start: float, aim: float) -> float:
    """The slope at which the rank correlation with the confound is 0, by halving: the more is taken
    away, the lower the correlation."""

    def left(slope: float) -> float:
        return ranks.correlation(reward - slope * confound)

    if abs(left(start)) <= aim:
        return start
    width = max(abs(start), float(reward.std()), 1e-12) / 4
    low = high = start
    for _ in range(HALVINGS):
        if left(low) >= 0 >= left(high):
            break
        low, high = (low, high + width) if left(high) > 0 else (low - width, high)
        width *= 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        correlation = left(middle)
        if abs(correlation) <= aim:
            return middle
        low, high = (middle, high) if correlation > 0 else (low, middle)
    return (low + high) / 2


def held_out(known: Rewards, find: Find, folds: int, seed: int) -> Array:
    """Rewards after, shape (n, K): those of each fold with penalties found on the others."""
    split = grouped_split(known.groups, np.ones((len(known.groups), 1), bool), folds, seed)
    after = np.empty_like(known.values)
    for part in split.held:
        rest, here = split.part != part, split.part == part
        penalties, _ = find(known.where(rest))
        after[here] = known.values[here] - known.confounds[here] @ penalties.T
    return after


def _numbers(known: Rewards, after: Array, seed: int) -> list[dict[str, Any]]:
    """The correlations before and after, for each attribute and confound."""
    columns: dict[str, Array] = {}
    statistics: dict[tuple[str, str], Statistic] = {}
    for k, name in enumerate(known.names):
        for c, confound in enumerate(known.against):
            if name in known.against:
                continue
            metric = "correlation" if len(known.against) == 1 else f"correlation-with-{confound}"
            for at, values in (("before", known.values), ("after", after)):
                key = f"{name} {confound} {at}"
                columns |= rank_columns(values[:, k], known.confounds[:, c], key)
                statistics[f"{metric}-{at}", name] = spearman_of(key)
    return measured_together(columns, statistics, known.groups, seed)


def _penalty_numbers(
    step: Debias, known: Rewards, penalties: Array, reached: Array
) -> list[dict[str, Any]]:
    found, rows = [], len(known.groups)
    for k, name in enumerate(known.names):
        for c, confound in enumerate(known.against):
            metric = "penalty" if len(known.against) == 1 else f"penalty-of-{confound}"
            found.append(number(metric, penalties[k, c], rows, subset=name))
        if step.compat:
            found.append(number("correlation-accepted", reached[k, 0], rows, subset=name))
    return found


def _tell(step: Debias, numbers: Sequence[Mapping[str, Any]]) -> None:
    """Attributes that are not free of a confound on rows held out."""
    far = [
        str(row["subset"])
        for row in numbers
        if row["metric"].endswith("-after") and abs(row["value"] or 0.0) > step.tolerance
    ]
    notice(
        f"correlations above {step.tolerance:g} or below {-step.tolerance:g} are left on rows held "
        "out",
        far,
        of="attributes",
    )


class DebiasedRewards(Predictor):
    """Rewards after the transform, by attribute; NaN where a reward or a measure is missing."""

    def __init__(self, transform: Transform, measures: Sequence[str]) -> None:
        self.transform = transform
        self.attributes = [name for name in transform.names if name not in measures]

    def predict(self, features: pa.Table) -> Mapping[str, Array]:
        columns = [
            features[_column(features.column_names, name)].cast(pa.float64())
            for name in self.transform.names
        ]
        values = np.column_stack([pc.fill_null(c, np.nan).to_numpy() for c in columns])
        after = self.transform(values)
        return {name: after[:, k] for k, name in enumerate(self.attributes)}


def _column(given: Sequence[str], name: str) -> str:
    """The joined column of an attribute or measure; its step may have another name."""
    found = [column for column in given if column == name]
    found = found or [column for column in given if column.partition(".")[2] == name]
    ending = name.partition(".")[2]
    found = found or [c for c in given if ending and c.partition(".")[2] == ending]
    if len(found) != 1:
        raise DataError(
            f"the transform reads {name}, and {'several columns are' if found else 'no column is'} "
            f"that; given: {some([c for c in given if c not in ('id', 'group')], 12)}"
        )
    return found[0]


def open_transform(directory: Path) -> DebiasedRewards:
    """The fit written to a directory."""
    return DebiasedRewards(read_transform(directory), read_about(directory).get("measures", []))
