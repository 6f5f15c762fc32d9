"""Penalties that free attribute rewards of a confound: found, measured held out, applied."""

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
        """Some of the rows."""
        parts = {n: getattr(self, n)[rows] for n in ("values", "confounds", "groups")}
        return replace(self, **parts)


def fit(
    settings: DebiasSettings,
    rewards: Features,
    measures: Sequence[Features] | None,
    seed: int,
    directory: Path,
) -> list[dict[str, Any]]:
    """Writes the transform to ``directory``; gives the numbers about it."""
    known = read_rewards(settings, rewards, measures)
    find = _published(settings) if settings.compat else _two_sided(settings)
    penalties, reached = find(known)
    names = known.names + known.measures
    matrix = matrix_of(names, known, penalties)
    about = {
        "kind": KIND,
        "against": list(known.against),
        "measures": list(known.measures),
        "penalties": {n: p.tolist() for n, p in zip(known.names, penalties, strict=True)},
        "compat": settings.compat,
    }
    write_transform(directory, Transform(names, matrix), about)
    after = held_out(known, find, settings.folds, seed)
    numbers = _numbers(known, after, seed) + _penalty_numbers(settings, known, penalties, reached)
    _tell(settings, numbers)
    return numbers


def read_rewards(
    settings: DebiasSettings, rewards: Features, measures: Sequence[Features] | None
) -> Rewards:
    """The rows that have all rewards and confounds; others are left out and counted."""
    names = tuple(
        f.name
        for f in rewards.rows.schema
        if f.name in rewards.values and not pa.types.is_fixed_size_list(f.type)
    )
    joined = join([rewards, *(measures or ())]).table
    found = {name: f"{rewards.name}.{name}" for name in names}
    places = {**{column: column for column in joined.column_names}, **found}
    unknown = [name for name in settings.against if name not in places]
    if unknown or not names:
        said = f"{unknown[0]!r} is neither" if unknown else "there is no"
        raise DataError(
            f"{said} an attribute of {rewards.name or 'rewards'} nor a column of measures; there "
            f"is {some([*names, *(c for c in joined.column_names if c not in found.values())], 20)}"
        )
    _check_compat(settings, names)
    columns = [*(places[name] for name in names), *(places[name] for name in settings.against)]
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
        settings.against,
        values[whole, len(names) :],
        np.unique(numbered[whole], return_inverse=True)[1],
    )
    _check_rows(known)
    return known


def _check_compat(settings: DebiasSettings, names: Sequence[str]) -> None:
    if settings.compat and (len(settings.against) != 1 or settings.against[0] not in names):
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


def _published(settings: DebiasSettings) -> Find:
    def find(known: Rewards) -> Penalties:
        found = [
            (1.0, 1.0)
            if name in known.against
            else find_published_penalty(
                known.values[:, k], known.confounds[:, 0], settings.tolerance
            )
            for k, name in enumerate(known.names)
        ]
        penalties, reached = np.array(found).T
        return penalties[:, None], reached[:, None]

    return find


def _two_sided(settings: DebiasSettings) -> Find:
    def find(known: Rewards) -> Penalties:
        ranks = [Ranks(confound) for confound in known.confounds.T]
        penalties = np.zeros((len(known.names), len(ranks)))
        reached = np.zeros_like(penalties)
        for k, name in enumerate(known.names):
            if name in known.against:
                penalties[k] = np.array(known.against) == name
                continue
            penalties[k], reached[k] = find_penalties(
                known.values[:, k], known.confounds, ranks, AIM * settings.tolerance
            )
        return penalties, reached

    return find


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
    settings: DebiasSettings, known: Rewards, penalties: Array, reached: Array
) -> list[dict[str, Any]]:
    found, rows = [], len(known.groups)
    for k, name in enumerate(known.names):
        for c, confound in enumerate(known.against):
            metric = "penalty" if len(known.against) == 1 else f"penalty-of-{confound}"
            found.append(number(metric, penalties[k, c], rows, subset=name))
        if settings.compat:
            found.append(number("correlation-accepted", reached[k, 0], rows, subset=name))
    return found


def _tell(settings: DebiasSettings, numbers: Sequence[Mapping[str, Any]]) -> None:
    """Attributes that are not free of a confound on rows held out."""
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
