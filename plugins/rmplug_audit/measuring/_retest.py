"""The table of the ``retest`` evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmplug import DataError, Features, Metrics, Responses
from rmplug.errors import did_you_mean
from rmplug.stats.estimates import mean
from rmplug.stats.intervals import Bounds, difference_interval, group_variance, t_quantile
from rmplug.stats.jackknife import jackknife
from rmplug.stats.metric_rows import wins
from rmplug.stats.several_tests import Dependence

from ._counterfactual_arrays import (
    NO_CHANGE,
    WHOLE,
    Change,
    Counterfactuals,
    Floats,
    Mask,
    counterfactuals,
)
from ._model import MeasuredModel
from ._rows import Row, metrics_of, row_of
from ._scores import Scores, scores_of
from ._tested import FAULTS, LEVEL, Tested, corrected, deviation_of, p_of, verdict_of, with_unseen
from ._units import Sums, Unit, sums_of
from .columns import RETEST


@dataclass(frozen=True)
class Asked:
    """What the user asked for."""

    targets: tuple[str, ...]
    """Perturbations or themes; none for all that is found before."""
    fall: float
    lost: float
    rise: float
    size: float
    dependence: Dependence


@dataclass(frozen=True)
class Retested:
    """One change: its effects before and after, the change of the effect, and what remains."""

    change: Change
    before: Tested
    after: Tested
    difference: Tested
    remaining: float
    """The effect after over the effect before."""
    bounds: Bounds
    total: Tested
    """The sum of both effects: how much further one goes than the other on the other side of 0."""


def measure(data: Responses, before: Features, after: Features, asked: Asked) -> Metrics:
    """Compute the metrics of ``Retest``."""
    table = counterfactuals(data)
    old, new = (MeasuredModel(table, _only(data, one)) for one in (before, after))
    _check_targets(table, asked.targets)
    rows = [*_effects(old, new, asked), *_accuracies(old, new, asked.lost)]
    names = {"model": after.name, "other": before.name}
    return metrics_of([{**row, **names} for row in rows], RETEST)


def _only(data: Responses, reward: Features) -> Scores:
    scores = scores_of(data, [reward])
    if len(scores) > 1:
        names = ", ".join(one.model for one in scores)
        raise DataError(f"{reward.name} has several scores ({names}); name one of them")
    return scores[0]


def _check_targets(table: Counterfactuals, targets: tuple[str, ...]) -> None:
    known = dict.fromkeys(
        name for one in table.changes for name in (one.perturbation, one.theme, str(one))
    )
    for target in targets:
        if target not in known:
            raise DataError(
                f"no change {target!r} in the data{did_you_mean(target, list(known))}; targets are "
                "names of perturbations or themes"
            )


def _effects(before: MeasuredModel, after: MeasuredModel, asked: Asked) -> Iterator[Row]:
    """Yield, for each change, the effects, their change and what remains; then what went up."""
    tested = [_retested(before, after, place) for place in range(len(before.table.changes))]
    families = {
        "effect-before": [one.before for one in tested],
        "effect-after": [one.after for one in tested],
        "effect-change": [one.difference for one in tested],
    }
    numbers = {n: corrected(own, asked.size, asked.dependence) for n, own in families.items()}
    up: dict[str, list[str]] = {"worse": [], "slightly worse": []}
    for place, one in enumerate(tested):
        rows = {}
        for metric, tests in families.items():
            test = tests[place]
            row = row_of(metric, WHOLE, one.change, test.value, test.interval, test.n)
            rows[metric] = row | numbers[metric][place]
        for metric in ("effect-before", "effect-after"):
            found = verdict_of(one.change.intention, rows[metric], asked.size)
            rows[metric]["verdict"] = found
        targeted = _is_targeted(one.change, rows["effect-before"]["verdict"], asked.targets)
        verdict = _verdict(one, rows, asked)
        rows["effect-change"]["verdict"] = verdict
        if verdict in up and not targeted:
            up[verdict].append(str(one.change))
        n = one.difference.n
        rest = row_of("remaining", WHOLE, one.change, one.remaining, one.bounds, n)
        q = rows["effect-before"]["q"]
        if q is None or q > LEVEL:
            # a share of an effect that was not found
            rest |= dict.fromkeys(("value", "low", "high"))
        yield from ({**row, "targeted": targeted} for row in (*rows.values(), rest))
    for metric, verdict in (("effects-up", "worse"), ("effects-slightly-up", "slightly worse")):
        yield row_of(metric, WHOLE, NO_CHANGE, len(up[verdict]), (None, None), len(tested))


def _is_targeted(change: Change, before: str, targets: tuple[str, ...]) -> bool:
    if not targets:
        return before in FAULTS
    return not {change.perturbation, change.theme, str(change)}.isdisjoint(targets)


def _retested(before: MeasuredModel, after: MeasuredModel, place: int) -> Retested:
    """Measure one change on the responses that both models score."""
    table = before.table
    first, second = before.differences[place], after.differences[place]
    rows: Mask = np.isfinite(first) & np.isfinite(second)
    columns = {"first": first[rows], "second": second[rows], "rows": np.ones(int(rows.sum()))}
    sums = sums_of(table, columns, rows)
    sums |= _prefixed("before ", before.unit.sums) | _prefixed("after ", after.unit.sums)
    old, new = _in_units("first", "before ", before.unit), _in_units("second", "after ", after.unit)
    change = jackknife(sums, lambda one: new(one) - old(one))
    held = int((sums["rows"] > 0).sum())
    moved = int(((sums["first"] != 0) | (sums["second"] != 0)).sum())
    error = deviation_of(change.influence) if held > 1 else float("nan")
    p = p_of(change.value, error, held, moved)
    change, error = with_unseen(change, error, held, moved)
    difference = Tested(change, held, int(rows.sum()), error, p)
    rest = jackknife(sums, lambda one: new(one) / old(one))
    remaining = Tested(rest, held, difference.n, error, p)
    total = Tested(jackknife(sums, lambda one: new(one) + old(one)), held, difference.n, error, p)
    effects = before.effect(place, rows), after.effect(place, rows)
    return Retested(
        table.changes[place], *effects, difference, remaining.value, remaining.interval, total
    )


def _prefixed(prefix: str, sums: Sums) -> dict[str, Floats]:
    return {prefix + name: values for name, values in sums.items()}


def _in_units(column: str, prefix: str, unit: Unit) -> Callable[[Sums], Floats]:
    """Return the statistic that is the mean of a column in units whose sums have this prefix."""

    def mean_in_units(sums: Sums) -> Floats:
        own = {name: sums[prefix + name] for name in unit.sums}
        return np.asarray(sums[column] / sums["rows"] / unit.some(own))

    return mean_in_units


def _verdict(one: Retested, rows: Mapping[str, Mapping[str, Any]], asked: Asked) -> str:
    """Say what became of an effect."""
    before, after, change = (rows[n] for n in ("effect-before", "effect-after", "effect-change"))
    if change["q"] is None:
        return "cannot tell"
    intention = one.change.intention
    surely, at_most = _increase(one)
    stronger = change["q"] <= LEVEL and surely > 0 and after["verdict"] in FAULTS
    if stronger and surely > asked.rise:
        return "worse"
    if before["verdict"] not in FAULTS and stronger:
        return "slightly worse" if at_most <= asked.rise else "cannot tell"
    if before["verdict"] not in FAULTS:
        both = before["verdict"] == after["verdict"] == "none"
        return "nothing to repair" if both else "cannot tell"
    if before["q"] > LEVEL:
        # damage that cost nothing: repaired where it costs something
        repaired = after["q"] <= LEVEL and after["verdict"] == "none"
        failed = after["verdict"] in FAULTS
        return "repaired" if repaired else "not repaired" if failed else "cannot tell"
    low, high = one.bounds
    if low is None or high is None:
        return "cannot tell"
    least = -(1 - asked.fall) if intention == "keeps" else float("-inf")
    most = 1 - asked.fall
    if least <= low and high <= most:
        return "repaired"
    return "not repaired" if low > most or high < least else "cannot tell"


def _increase(one: Retested) -> tuple[float, float]:
    """Return the interval of by how much further an effect goes in the direction in which it is a
    fault, in units. On the other side of 0 that it changed does not say so: it may be as strong
    there as before."""
    intention, before, after = one.change.intention, one.before.value, one.after.value
    crossed = intention == "keeps" and before * after < 0
    low, high = (one.total if crossed else one.difference).interval
    if low is None or high is None:
        return float("-inf"), float("inf")
    rises = after > 0 if intention == "keeps" else intention == "worsens"
    return (low, high) if rises else (-high, -low)


def _accuracies(before: MeasuredModel, after: MeasuredModel, lost: float) -> Iterator[Row]:
    """Yield the accuracies on the preferences that both models have scores for."""
    good, bad = before.table.preferences
    leads = [model.original[good] - model.original[bad] for model in (before, after)]
    both = np.isfinite(leads[0]) & np.isfinite(leads[1])
    for subset, part in before.table.parts.items():
        rows = both & part[good]
        if not rows.any():
            continue
        groups = before.table.group[good[rows]]
        first, second = (wins(lead[rows]) for lead in leads)
        for metric, won in (("accuracy-before", first), ("accuracy-after", second)):
            share = mean(won, "share")
            bounds = share.interval(groups)
            yield row_of(metric, subset, NO_CHANGE, share.value, bounds, len(groups))
        yield _accuracy_change(subset, second - first, groups, lost)


def _accuracy_change(subset: str, change: Floats, groups: Any, lost: float) -> Row:
    """Return the change of accuracy: what was gained less what was lost, each with its interval, so
    that no change at all in few preferences is no proof."""
    gained, given = (mean(np.maximum(one, 0), "share") for one in (change, -change))
    low, high = difference_interval(
        gained.value, gained.interval(groups), given.value, given.interval(groups)
    )
    difference, held = mean(change), len(np.unique(groups))
    row = row_of("accuracy-change", subset, NO_CHANGE, difference.value, (low, high), len(change))
    if low is None or high is None:
        return row | {"verdict": "cannot tell"}
    spread = float(np.sqrt(group_variance(difference.influence, groups)))
    p = p_of(difference.value, spread, held, len(np.unique(groups[change != 0])))
    error = (high - low) / 2 / t_quantile(held - 1)
    row |= corrected([Tested(difference, held, len(change), error, p)], lost, "positive")[0]
    return row | {"verdict": "kept" if low >= -lost else "worse" if high < -lost else "cannot tell"}
