"""The table of the ``effects`` evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmplug import Features, Metrics, Responses, notice
from rmplug.stats.several_tests import Dependence, level_for_all
from rmplug.stats.t_tests import t_critical

from ._counterfactual_arrays import NO_CHANGE, WHOLE, Change, Counterfactuals, Mask, counterfactuals
from ._model import MeasuredModel
from ._preferences import FEWEST_PROMPTS, Share, member_of, raised_of, shares_of, worst_of
from ._rows import Row, finite, metrics_of, named, row_of
from ._scores import scores_of
from ._tested import FAULTS, Tested, corrected, verdict_of
from .columns import EFFECTS


@dataclass(frozen=True)
class Asked:
    """What the user asked for."""

    size: float
    """The size of an effect, in units, that is to be found."""
    dependence: Dependence
    seed: int


def measure(data: Responses, rewards: Sequence[Features], asked: Asked) -> Metrics:
    """Compute the metrics of ``Effects``."""
    table = counterfactuals(data)
    rows: list[Row] = []
    for number, scores in enumerate(scores_of(data, rewards)):
        model = MeasuredModel(table, scores)
        found = [*_about(model), *_tested(model, asked, [asked.seed, number])]
        found += _of_preferences(model, [asked.seed, number])
        rows += [{**row, "model": model.name} for row in found]
    _notice_few(table)
    return metrics_of(rows, EFFECTS)


def _about(model: MeasuredModel) -> Iterator[Row]:
    """Yield the unit, in those of the reward, and the number of rows without a score."""
    unit, table = model.unit, model.table
    used = np.unique(np.concatenate([table.originals, table.rows[table.rows >= 0]]))
    lacking = int(np.isnan(model.scores.values[used]).sum())
    bounds = unit.estimate.interval(np.arange(table.groups)) if table.groups else (None, None)
    n = int(np.isfinite(model.original).sum())
    yield row_of("unit", WHOLE, NO_CHANGE, unit.value, bounds, n)
    yield row_of("missing", WHOLE, NO_CHANGE, lacking, (None, None), len(used))


def _tested(model: MeasuredModel, asked: Asked, seed: list[int]) -> Iterator[Row]:
    """Yield the effects of the whole, what they say of themes, and the effects by subset."""
    whole = model.table.parts[WHOLE]
    effects = [(c, model.effect(c, whole)) for c in range(len(model.table.changes))]
    made = list(_family("effect", {WHOLE: effects}, model, asked))
    yield from made
    yield from _themes(model, effects, made, seed)
    for metric, label in (("effect-good", 1), ("effect-bad", 0)):
        part = model.table.label == label
        yield from _family(metric, {WHOLE: _of_part(model, part)}, model, asked)
    beyond = [(c, test) for c, _ in effects if (test := model.beyond_length(c, whole))]
    yield from _family("beyond-length", {WHOLE: beyond}, model, asked)
    yield from _family("dose-slope", {WHOLE: list(_slopes(model))}, model, asked)
    parts = {name: part for name, part in model.table.parts.items() if name != WHOLE}
    subsets = {name: _of_part(model, part) for name, part in parts.items()}
    yield from _family("effect", subsets, model, asked)


def _of_part(model: MeasuredModel, part: Mask) -> list[tuple[int, Tested]]:
    tests = [(c, model.effect(c, part)) for c in range(len(model.table.changes))]
    return [(c, test) for c, test in tests if test.n]


def _slopes(model: MeasuredModel) -> Iterator[tuple[int, Tested]]:
    """Yield the slope of each perturbation with several doses, with the change of its highest."""
    doses: dict[str, list[int]] = {}
    for index, change in enumerate(model.table.changes):
        doses.setdefault(change.perturbation, []).append(index)
    for places in doses.values():
        if len(places) > 1:
            yield max(places, key=lambda c: model.table.changes[c].dose), model.slope(places)


def _family(
    metric: str,
    tests: dict[str, list[tuple[int, Tested]]],
    model: MeasuredModel,
    asked: Asked,
) -> Iterator[Row]:
    """Yield rows of tests that are corrected for false discovery together, by subset."""
    every = [(subset, c, test) for subset, own in tests.items() for c, test in own]
    fields = corrected([test for *_, test in every], asked.size, asked.dependence)
    for (subset, c, test), numbers in zip(every, fields, strict=True):
        change = model.table.changes[c]
        row = row_of(metric, subset, change, test.value, test.interval, test.n) | numbers
        if metric == "dose-slope":
            # a slope has another unit than ``size``, and is of no dose
            yield row | {"dose": None, "power": None}
            continue
        row["verdict"] = verdict_of(change.intention, row, asked.size)
        if metric == "effect":
            row["length_alone"] = finite(model.length_alone(c, model.table.parts[subset]))
        yield row


def _themes(
    model: MeasuredModel,
    effects: Sequence[tuple[int, Tested]],
    made: Sequence[Row],
    seed: list[int],
) -> Iterator[Row]:
    """Yield the strongest effect of each theme in the direction in which it can be exploited, and
    the strongest fall of the reward by what keeps the quality."""
    themes: dict[str, list[Member]] = {}
    for (c, test), row in zip(effects, made, strict=True):
        if np.isfinite(test.value) and test.interval[0] is not None:
            member = Member(model.table.changes[c], test, row)
            themes.setdefault(member.change.theme, []).append(member)
    for theme, every in themes.items():
        # what few prompts have would be the strongest by chance, and hide how sure the rest is;
        # a fault that is found in them is one of the theme all the same
        members = [
            one for one in every if one.test.held >= FEWEST_PROMPTS or one.row["verdict"] in FAULTS
        ] or every
        # what is drawn for each must not depend on the order of the rows
        members.sort(key=lambda one: str(one.change))
        influences = np.stack([one.test.estimate.influence for one in members], axis=1)
        level = level_for_all(influences, [*seed, sorted(themes).index(theme)])
        yield _strongest("theme-effect", theme, members, level, ("exploit", "cannot tell"))
        kept = [one for one in members if one.change.intention == "keeps"]
        if kept:
            yield _strongest("theme-fall", theme, kept, level, ("sensitive", "cannot tell"))


@dataclass(frozen=True)
class Member:
    """A change of a theme, with its test and its row of metrics."""

    change: Change
    test: Tested
    row: Row

    def ends(self, metric: str, level: float) -> tuple[float, float, float]:
        """Return the effect in the direction of a metric, with its ends at this level."""
        down = metric == "theme-fall" or self.change.intention == "improves"
        value = -self.test.value if down else self.test.value
        half = t_critical(level, self.test.freedom) * self.test.deviation
        return value, value - half, value + half


def _strongest(
    metric: str, theme: str, members: Sequence[Member], level: float, verdicts: Sequence[str]
) -> Row:
    """Return the row of the strongest member, with the largest ends of intervals that hold all of
    them at once, and the first of these verdicts that one of them has."""
    ends = [one.ends(metric, level) for one in members]
    best = max(range(len(ends)), key=lambda index: (ends[index][0], str(members[index].change)))
    strongest, rows = members[best], [one.row for one in members]
    bounds = max(low for _, low, _ in ends), max(high for *_, high in ends)
    whole = Change("", theme, 0, strongest.change.intention)
    said = [row["verdict"] for row in rows]
    return row_of(metric, WHOLE, whole, ends[best][0], bounds, strongest.test.n) | {
        "power": _extreme(min, rows, "power"),
        "detectable": _extreme(max, rows, "detectable"),
        "verdict": next((one for one in verdicts if one in said), "none"),
        "member": str(strongest.change),
    }


def _extreme(choose: Any, rows: Sequence[Row], name: str) -> float | None:
    known = [row[name] for row in rows]
    return None if None in known else choose(known)


def _of_preferences(model: MeasuredModel, seed: list[int]) -> Iterator[Row]:
    """Yield shares of preferences, and the worst accuracies of the whole and of each subset."""
    of_subsets: list[Share] = []
    order = sorted(model.table.parts)
    for subset, part in model.table.parts.items():
        for share in raised_of(model, subset, part):
            yield named(share.row(share.interval()), share.change or NO_CHANGE)
        shares = list(shares_of(model, subset, part))
        for share in shares:
            row = share.row(share.interval())
            yield named(row, share.change or NO_CHANGE)
        yield from _worst("accuracy-worst", shares, model, [*seed, order.index(subset)])
        if subset != WHOLE:
            of_subsets += [one for one in shares if one.prompts >= FEWEST_PROMPTS]
    yield from _worst("accuracy-worst-subset", of_subsets, model, [*seed, len(order)])


def _worst(metric: str, shares: list[Share], model: MeasuredModel, seed: list[int]) -> list[Row]:
    """Return the row of the lowest accuracy. Its change is a field, not its name: the worst one of
    another run is compared with it, whichever it is."""
    found = worst_of(shares, model.table.groups, seed)
    if found is None:
        return []
    worst, bounds = found
    subset, member = worst.subset, member_of(worst)
    if metric == "accuracy-worst-subset":
        subset, member = WHOLE, f"{worst.subset}: {member}"
    row = {**worst.row(bounds), "metric": metric, "subset": subset, "member": member}
    return [named(row, NO_CHANGE)]


def _notice_few(table: Counterfactuals) -> None:
    """Name the changes that so few prompts have that nothing can be said."""
    few = []
    for place, change in enumerate(table.changes):
        if len(np.unique(table.group[table.rows[place] >= 0])) < 2:
            few.append(str(change))
    notice("made to responses of one prompt only: no interval", few, of="changes")
