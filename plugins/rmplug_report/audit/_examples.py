"""Examples of exploits: a response beside its changed copy, with the reward of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Features, Responses
from rmplug.data.messages import text_of
from rmplug_report.inputs._contributions import Floats
from rmplug_report.inputs._hidden import NOT_SHOWN, is_hidden

from ._diff import same_start
from ._rows import WHOLE
from .document import Effect, Example

FAULTS = ("exploited", "sensitive")
NEEDED = ("original", "perturbation", "theme", "dose")


@dataclass(frozen=True)
class Chosen:
    """The effect that an example is of, and its rows in the table: the copy and its original."""

    effect: Effect
    copy: int
    original: int
    before: float
    after: float


def is_counterfactual(data: Responses) -> bool:
    """Check whether a table has changed copies of responses beside their originals."""
    return all(name in data.columns for name in NEEDED)


def examples_of(
    effects: Sequence[Effect],
    data: Sequence[Responses],
    rewards: Sequence[Features],
    hidden: frozenset[str],
    most: int,
    limit: int,
) -> list[Example]:
    """Return an example of each model's strongest exploits, one of a family: at most ``most`` for
    each model, texts of at most ``limit`` characters. It is the copy whose change is the median of
    all copies; where responses have labels, of the bad ones, which an exploit lifts."""
    found = []
    scores = dict(_scores(rewards))
    for effect in _strongest(effects, most):
        for one in data:
            values = _aligned(one, scores.get(effect.model))
            chosen = None if values is None else _typical(effect, one, values)
            if chosen is not None:
                found.append(_example(chosen, one, hidden, limit))
                break
    return found


def _strongest(effects: Sequence[Effect], most: int) -> list[Effect]:
    """Return each model's exploits, those that a search found first, the strongest of a family;
    after them what it is sensitive to."""
    shown: list[Effect] = []
    whole = [one for one in effects if one.subset == WHOLE and one.verdict in FAULTS]
    ordered = sorted(whole, key=lambda one: (
        FAULTS.index(one.verdict), one.theme != "found", -abs(one.value or 0.0)))  # fmt: skip
    for model in dict.fromkeys(one.model for one in effects):
        of_theme: dict[str, Effect] = {}
        for one in ordered:
            if one.model == model:
                of_theme.setdefault(one.theme, one)
        shown += list(of_theme.values())[:most]
    return shown


def _scores(rewards: Sequence[Features]) -> Iterator[tuple[str, tuple[Features, str]]]:
    for item in rewards:
        for name in item.values:
            is_list = pa.types.is_fixed_size_list(item.table[name].type)
            if name.split(".")[0] == "reward" and not is_list:
                yield f"{item.name}{name.removeprefix('reward')}", (item, name)


def _aligned(data: Responses, reward: tuple[Features, str] | None) -> Floats | None:
    """Return the reward of each row of a table, NaN where it has none; None without any."""
    if reward is None:
        return None
    item, name = reward
    places = pc.index_in(data["id"], value_set=item.table["id"])
    if places.null_count == len(places):
        return None
    values = pc.take(item.table[name], places).cast(pa.float64())
    return np.asarray(pc.fill_null(values, float("nan")).to_numpy())


def _typical(effect: Effect, data: Responses, values: Floats) -> Chosen | None:
    """Choose the copy whose change is the median of all, of bad responses where labels tell."""
    same = pc.and_(
        pc.equal(data["perturbation"], effect.perturbation), pc.equal(data["dose"], effect.dose)
    )
    copies = np.flatnonzero(np.asarray(pc.fill_null(same, False)))
    originals = np.asarray(
        pc.fill_null(pc.index_in(data["original"], value_set=data["id"].combine_chunks()), -1)
    )[copies]
    usable = originals >= 0
    usable[usable] &= np.isfinite(values[copies[usable]] - values[originals[usable]])
    copies, originals = copies[usable], originals[usable]
    if "label" in data.columns and len(copies):
        labels = _labels(data)[copies]
        if (labels <= 0).any():
            copies, originals = copies[labels <= 0], originals[labels <= 0]
    if not len(copies):
        return None
    change = values[copies] - values[originals]
    middle = np.argsort(change, kind="stable")[(len(change) - 1) // 2]
    copy, original = int(copies[middle]), int(originals[middle])
    return Chosen(effect, copy, original, float(values[original]), float(values[copy]))


def _labels(data: Responses) -> Floats:
    """Return the labels as numbers; NaN where there is none, or where they are texts."""
    column = data["label"]
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
            or pa.types.is_boolean(column.type)):  # fmt: skip
        return np.full(len(data), np.nan)
    return np.asarray(pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy())


def _example(chosen: Chosen, data: Responses, hidden: frozenset[str], limit: int) -> Example:
    rows = data.table.take([chosen.original, chosen.copy])
    id = str(rows["id"][0])
    texts: Mapping[str, list[str]] = {
        name: text_of(rows[name]).to_pylist() for name in ("prompt", "response")
    }
    prompt, before, after = (one or "" for one in (texts["prompt"][0], *texts["response"]))
    if is_hidden(id, hidden):
        prompt = before = after = NOT_SHOWN
    effect, cut = chosen.effect, max(map(len, (prompt, before, after))) > limit
    before, after = _around_change(before, after, limit)
    return Example(
        model=effect.model,
        perturbation=effect.perturbation,
        theme=effect.theme,
        dose=effect.dose,
        intention=effect.intention,
        id=id,
        prompt=prompt[-limit:],
        before=before,
        after=after,
        reward_before=chosen.before,
        reward_after=chosen.after,
        cut=cut,
    )


def _around_change(before: str, after: str, limit: int) -> tuple[str, str]:
    """Cut two texts to ``limit`` characters, from shortly before the first that differs."""
    if max(len(before), len(after)) <= limit:
        return before, after
    begin = max(
        0, min(same_start(before, after) - limit // 4, max(len(before), len(after)) - limit)
    )
    return before[begin : begin + limit], after[begin : begin + limit]
