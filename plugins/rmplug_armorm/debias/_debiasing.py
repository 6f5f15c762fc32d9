"""Penalties that free attribute rewards of a confound: fitted, measured held out, applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, join, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.stats.metric_rows import (
    Statistic,
    measured_together,
    number,
    rank_columns,
    spearman_of,
)
from rmplug_armorm.heads._splits import grouped_split

from ._penalties import Ranks, find_penalties, find_published_penalty
from ._transform_file import Transform, write_transform

KIND = "debias"
AIM = 0.1
"""Penalties are sought until the correlation is within this part of the tolerance."""


@dataclass(frozen=True)
class DebiasSettings:
    """The parameters of ``debias``."""

    against: tuple[str, ...]
    tolerance: float
    folds: int
    compat: str | None


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
        """Return the rows of a mask."""
        parts = {n: getattr(self, n)[rows] for n in ("values", "confounds", "groups")}
        return replace(self, **parts)


def fit(
    settings: DebiasSettings,
    rewards: Features,
    measures: Sequence[Features] | None,
    seed: int,
    directory: Path,
) -> list[dict[str, Any]]:
    """Fit the transform, write it to ``directory``, and return its numbers."""
    complete = read_rewards(settings, rewards, measures)
    find = _published(settings) if settings.compat else _two_sided(settings)
    penalties, reached = find(complete)
    names = complete.names + complete.measures
    matrix = matrix_of(names, complete, penalties)
    about = {
        "kind": KIND,
        "against": list(complete.against),
        "measures": list(complete.measures),
        "penalties": {n: p.tolist() for n, p in zip(complete.names, penalties, strict=True)},
        "compat": settings.compat,
    }
    write_transform(directory, Transform(names, matrix), about)
    after = held_out(complete, find, settings.folds, seed)
    numbers = _numbers(complete, after, seed) + _penalty_numbers(
        settings, complete, penalties, reached
    )
    _report_remaining(settings, numbers)
    return numbers


def read_rewards(
    settings: DebiasSettings, rewards: Features, measures: Sequence[Features] | None
) -> Rewards:
    """Read the rows that have all rewards and confounds; count the others in a notice."""
    names = _attributes(rewards)
    joined = join([rewards, *(measures or ())]).table
    columns = _columns(settings, rewards.name, names, joined.column_names)
    _check_compat(settings, names)
    values = np.column_stack(
        [pc.fill_null(joined[c].cast(pa.float64()), np.nan).to_numpy() for c in columns]
    )
    whole = np.isfinite(values).all(axis=1)
    notice("a reward or measure is missing", joined["id"].filter(pa.array(~whole)).to_pylist())
    groups = joined["group" if "group" in joined.column_names else "id"].combine_chunks()
    numbered = np.asarray(groups.dictionary_encode().indices, np.int64)
    complete = Rewards(
        names,
        values[whole, : len(names)],
        settings.against,
        values[whole, len(names) :],
        np.unique(numbered[whole], return_inverse=True)[1],
    )
    _check_rows(complete)
    return complete


def _attributes(rewards: Features) -> tuple[str, ...]:
    """Return the names of the columns of numbers."""
    return tuple(
        column.name
        for column in rewards.rows.schema
        if column.name in rewards.values and not pa.types.is_fixed_size_list(column.type)
    )


def _columns(
    settings: DebiasSettings, step: str, names: Sequence[str], present: Sequence[str]
) -> list[str]:
    """Return the joined column of each attribute, then of each confound."""
    attributes = {name: f"{step}.{name}" for name in names}
    column_of = {**{column: column for column in present}, **attributes}
    unknown = [name for name in settings.against if name not in column_of]
    if unknown or not names:
        measured = [column for column in present if column not in attributes.values()]
        problem = f"{unknown[0]!r} is neither" if unknown else "there is no"
        raise DataError(
            f"{problem} an attribute of {step or 'rewards'} nor a column of measures; "
            f"there is {some([*names, *measured], 20)}"
        )
    return [column_of[name] for name in (*names, *settings.against)]


def _check_compat(settings: DebiasSettings, names: Sequence[str]) -> None:
    if settings.compat and (len(settings.against) != 1 or settings.against[0] not in names):
        raise DataError(
            "with compat: original rewards are freed of one attribute; write against: and one of "
            f"{some(list(names), 20)}, or leave compat out"
        )


def _check_rows(rewards: Rewards) -> None:
    groups = len(np.unique(rewards.groups))
    if groups < 2:
        raise DataError(
            f"debias needs rows of at least 2 groups (prompts) and there are {len(rewards.groups)} "
            f"rows of {groups}; give more data"
        )
    same = np.ptp(rewards.confounds, axis=0) == 0
    if same.any():
        name = rewards.against[int(np.argmax(same))]
        raise DataError(
            f"{name} is the same in all rows: rewards cannot depend on it; leave it out"
        )


def matrix_of(names: Sequence[str], rewards: Rewards, penalties: Array) -> Array:
    """Make the transform: rewards minus penalties times confounds; confounds become 0."""
    matrix = np.eye(len(names))
    for c, confound in enumerate(rewards.against):
        matrix[names.index(confound), : len(rewards.names)] -= penalties[:, c]
    for confound in rewards.against:
        matrix[:, names.index(confound)] = 0
    return matrix


Penalties: TypeAlias = tuple[Array, Array]
"""Penalties (K, C), and the correlations (K, C) that they reach on the rows they were fitted to."""
Find: TypeAlias = Callable[[Rewards], Penalties]


def _published(settings: DebiasSettings) -> Find:
    def find(rewards: Rewards) -> Penalties:
        accepted = [
            (1.0, 1.0)
            if name in rewards.against
            else find_published_penalty(
                rewards.values[:, k], rewards.confounds[:, 0], settings.tolerance
            )
            for k, name in enumerate(rewards.names)
        ]
        penalties, reached = np.array(accepted).T
        return penalties[:, None], reached[:, None]

    return find


def _two_sided(settings: DebiasSettings) -> Find:
    def find(rewards: Rewards) -> Penalties:
        ranks = [Ranks(confound) for confound in rewards.confounds.T]
        penalties = np.zeros((len(rewards.names), len(ranks)))
        reached = np.zeros_like(penalties)
        for k, name in enumerate(rewards.names):
            if name in rewards.against:
                penalties[k] = np.array(rewards.against) == name
                continue
            penalties[k], reached[k] = find_penalties(
                rewards.values[:, k], rewards.confounds, ranks, AIM * settings.tolerance
            )
        return penalties, reached

    return find


def held_out(rewards: Rewards, find: Find, folds: int, seed: int) -> Array:
    """Compute the rewards after, (n, K), of each fold with penalties fitted on the others."""
    split = grouped_split(rewards.groups, np.ones((len(rewards.groups), 1), bool), folds, seed)
    after = np.empty_like(rewards.values)
    for part in split.held:
        rest, here = split.part != part, split.part == part
        penalties, _ = find(rewards.where(rest))
        after[here] = rewards.values[here] - rewards.confounds[here] @ penalties.T
    return after


def _numbers(rewards: Rewards, after: Array, seed: int) -> list[dict[str, Any]]:
    """Measure the correlations before and after, for each attribute and confound."""
    columns: dict[str, Array] = {}
    statistics: dict[tuple[str, str], Statistic] = {}
    for k, name in enumerate(rewards.names):
        for c, confound in enumerate(rewards.against):
            if name in rewards.against:
                continue
            metric = "correlation" if len(rewards.against) == 1 else f"correlation-with-{confound}"
            for at, values in (("before", rewards.values), ("after", after)):
                key = f"{name} {confound} {at}"
                columns |= rank_columns(values[:, k], rewards.confounds[:, c], key)
                statistics[f"{metric}-{at}", name] = spearman_of(key)
    return measured_together(columns, statistics, rewards.groups, seed)


def _penalty_numbers(
    settings: DebiasSettings, rewards: Rewards, penalties: Array, reached: Array
) -> list[dict[str, Any]]:
    numbers, rows = [], len(rewards.groups)
    for k, name in enumerate(rewards.names):
        for c, confound in enumerate(rewards.against):
            metric = "penalty" if len(rewards.against) == 1 else f"penalty-of-{confound}"
            numbers.append(number(metric, penalties[k, c], rows, subset=name))
        if settings.compat:
            numbers.append(number("correlation-accepted", reached[k, 0], rows, subset=name))
    return numbers


def _report_remaining(settings: DebiasSettings, numbers: Sequence[Mapping[str, Any]]) -> None:
    """Notice attributes that still correlate with a confound on held-out rows."""
    far = [
        str(row["subset"])
        for row in numbers
        if row["metric"].endswith("-after") and abs(row["value"] or 0.0) > settings.tolerance
    ]
    notice(
        f"correlations above {settings.tolerance:g} or below {-settings.tolerance:g} are left on "
        "rows held out",
        far,
        of="attributes",
    )
