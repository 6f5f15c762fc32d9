"""The certificate: metrics of two ways to score, and what explains their difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from rmplug import DataError, Features, Pairs, Responses, RewardModel
from rmplug.arrays import Array
from rmplug.errors import RmplugError, some
from rmplug.models.kept import keeping_nothing
from rmplug.notices import collect_notices
from rmplug.stats.metric_rows import Scaled, Statistic, mean_of, measured, number, share_of
from rmplug_hf.loading._transformer import Transformer

from ._asked import Asked, ask, reward_of
from ._formats import of_formats, of_scale
from ._hypotheses import Hypothesis, of_numbers, of_tokens
from ._paddings import of_pad_tokens, of_paddings
from ._sentences import difference_sentence, explanation_sentence, token_sentence
from ._settings import TokenDifference, compare_tokens, differing_files, of_settings
from ._truncation import of_lengths

if TYPE_CHECKING:
    from .parity import Parity

SHOWN = 5
"""Hypotheses that explain nothing and are shown: those that come nearest."""


@dataclass(frozen=True)
class Tried:
    """A hypothesis with the largest difference that it leaves."""

    setting: str
    left: float
    explains: bool


@dataclass(frozen=True)
class _Found:
    """What differs between two ways beside their scores, and what was tried to explain it."""

    tokens: TokenDifference | None
    files: list[str]
    tried: list[Tried]


def certify(
    step: Parity, model: RewardModel, other: RewardModel | Features, data: Pairs | Responses,
    seed: int,
) -> dict[str, list[Any]]:  # fmt: skip
    """Compare two ways to score; returns the columns of the metrics."""
    names = (model.name or "the model", other.name or "the other")
    opened = other.open() if isinstance(other, RewardModel) else other
    model = model.open()
    if not isinstance(model, Transformer):
        raise DataError(
            f"parity asks a model of transformers in several ways; {names[0]} is a "
            f"{type(model).__name__}: give the other one as model, and this one as other"
        )
    paired = isinstance(data, Pairs)
    with keeping_nothing():  # what is kept would be compared with itself
        asked = ask(data, opened, step.rows, paired)
        scores = reward_of(model, asked.responses)
        left = asked.left(scores)
        files: list[str] = []
        tokens = None
        if isinstance(opened, Transformer):
            tokens = compare_tokens(model, opened, asked)
            files = differing_files(model, opened)
        tried: list[Tried] = []
        if left > asked.tolerance:
            with collect_notices():  # of texts that nobody asks to be scored so
                tried = try_all(step, model, opened, asked, scores)
    return _columns(asked, scores, _Found(tokens, files, tried), names, seed)


def try_all(
    step: Parity, model: Transformer, other: RewardModel | Features, asked: Asked, scores: Array
) -> list[Tried]:
    """Try hypotheses, of two models first the settings in which they differ; all of a sort, and
    those of the next sort only where none explains the difference."""
    sorts: list[Iterable[Hypothesis]] = [
        of_numbers(model, lambda rows: reward_of(model, rows.responses)),
        of_formats(model, asked, scores),
        chain(of_tokens(model, step), of_pad_tokens(model)),
        of_lengths(model, asked, scores),
        of_paddings(model),
        of_scale(asked, scores),
    ]
    if isinstance(other, Transformer):
        sorts.insert(0, of_settings(model, other, asked))
    tried: list[Tried] = []
    for sort in sorts:
        tried += _tried(sort, asked)
        if any(one.explains for one in tried):
            break
    return tried


def _tried(hypotheses: Iterable[Hypothesis], asked: Asked) -> Iterator[Tried]:
    """Try each on the first rows, and on all where these do not speak against it."""
    for one in hypotheses:
        few = asked.first(one.rows)
        try:
            bound = asked.allowance if one.bound is None else one.bound
            left = few.left(one.scores(few))
            if left <= bound and few is not asked:
                left = asked.left(one.scores(asked))
        except (RmplugError, RuntimeError, ValueError, IndexError):
            continue  # the model cannot be asked so: nobody has
        yield Tried(one.setting, left, left <= bound)


def _columns(
    asked: Asked,
    scores: Array,
    found: _Found,
    names: tuple[str, str],
    seed: int,
) -> dict[str, list[Any]]:
    blank: dict[str, Any] = {"setting": None, "sentence": None}
    numbers = [{**row, **blank} for row in _of_scores(asked, scores, seed)]
    left = asked.left(scores)
    same = left <= asked.tolerance
    numbers[0]["sentence"] = difference_sentence(names, numbers, asked, same)
    tokens = found.tokens
    if tokens is not None:
        share = number("different-tokens", tokens.rows / tokens.of, tokens.of)
        numbers.append({**share, **blank, "sentence": token_sentence(names, tokens)})
    if found.files:
        count = number("different-files", len(found.files), len(found.files))
        told = f"The files of {names[0]} and {names[1]} differ: {some(found.files)}."
        numbers.append({**count, **blank, "sentence": told})
    explaining = [one for one in found.tried if one.explains]
    others = (one for one in found.tried if not one.explains)
    nearest = sorted(others, key=lambda one: one.left)[:SHOWN]
    for index, one in enumerate([*explaining, *nearest]):
        row = number("largest-difference-left", one.left, len(asked.given))
        said = None if index or same else explanation_sentence(names, explaining, nearest, left)
        numbers.append({**row, "setting": one.setting, "sentence": said})
    for row in numbers:
        row |= {"model": names[0], "other": names[1]}
    return {name: [row[name] for row in numbers] for name in numbers[0]}


def _of_scores(asked: Asked, scores: Array, seed: int) -> list[dict[str, Any]]:
    """Compute the differences of the numbers, with intervals over groups."""
    ours, given = asked.shown(scores), asked.given
    groups = asked.groups if len(ours) == len(asked.groups) else np.tile(asked.groups, asked.sides)
    far = np.abs(ours - given)
    x, y = ours - ours.mean(), given - given.mean()
    columns = {"far": far, "xx": x * x, "yy": y * y, "xy": x * y, "x": x, "y": y}
    statistics: dict[str, Statistic] = {
        "mean-difference": mean_of("far"),
        "score-deviation": _deviation,
        "difference-per-deviation": lambda sums: sums["far"] / sums["n"] / _deviation(sums),
        "correlation": Scaled(_correlation, "correlation"),
    }
    rows = [number("largest-difference", float(far.max()), len(far))]
    with np.errstate(invalid="ignore", divide="ignore"):
        rows += measured(columns, statistics, groups, seed)
    return rows + _flips(asked, ours, seed)


def _deviation(sums: Mapping[str, Array]) -> Array:
    n = sums["n"]
    return np.asarray(np.sqrt(np.maximum(sums["xx"] / n - (sums["x"] / n) ** 2, 0)))


def _correlation(sums: Mapping[str, Array]) -> Array:
    n, x, y = sums["n"], sums["x"], sums["y"]
    spread = np.sqrt((sums["xx"] - x * x / n) * (sums["yy"] - y * y / n))
    return np.asarray((sums["xy"] - x * y / n) / np.where(spread > 0, spread, np.nan))


def _flips(asked: Asked, ours: Array, seed: int) -> list[dict[str, Any]]:
    """Compute the share of decisions that change."""
    mine, theirs = asked.decisions(ours), asked.decisions(asked.given)
    known = np.isfinite(mine) & np.isfinite(theirs)
    if not known.any():
        return []
    flipped = np.abs(np.sign(mine[known]) - np.sign(theirs[known])) / 2
    groups = asked.groups[known]
    return measured({"flipped": flipped}, {"flipped": share_of("flipped")}, groups, seed)
