"""Findings about accuracy: the best reward beside the strongest baseline and the other rewards."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import baseline_name
from rmplug_report.inputs._paired import difference_of, is_significant, p_text
from rmplug_report.inputs._wording import (
    count,
    interval,
    listed,
    name,
    percent,
    points,
    strong,
    with_interval,
)

from ._finding import Finding
from ._in_sample import in_sample_headline

MOST_NAMES = 4


def accuracy_headline(inputs: Inputs, lookup: MetricLookup) -> str:
    """The accuracy of the best reward and of the strongest baseline; nothing without a reward."""
    ranked = _held_out(lookup)
    if not ranked:
        in_sample = lookup.ranked()[:1]
        return in_sample_headline(lookup, in_sample[0]) if in_sample else ""
    best = lookup.row(ranked[0], "accuracy")
    assert best is not None
    said = f"accuracy {with_interval(best['value'], best['low'], best['high'])}"
    said = said[:1].upper() + said[1:]
    if len(ranked) > 1:
        said = f"Best of {len(ranked)} rewards, {name(ranked[0], 40)}: {said[:1].lower()}{said[1:]}"
    baseline = best_baseline(lookup)
    if baseline is None:
        return f"{said}."
    other, value = name(baseline["model"], 30), strong(percent(baseline["value"]))
    difference = difference_of(inputs.metrics, lookup, ranked[0], str(baseline["model"]))
    if difference is not None and not is_significant(difference):
        return f"{said}; not significantly different from the {baseline_name(other)}, {value}."
    if difference is not None and difference["value"] < 0:
        return f"{said}; below the {baseline_name(other)}, {value}."
    return f"{said}; {baseline_name(other)} {value}."


def _held_out(lookup: MetricLookup) -> list[str]:
    """The models that are not known to be in-sample, the most accurate first."""
    return [model for model in lookup.ranked() if model not in lookup.in_sample]


def best_baseline(lookup: MetricLookup) -> Row | None:
    """The baseline with the highest accuracy."""
    rows = [lookup.row(baseline, "accuracy") for baseline in lookup.baselines]
    return max((row for row in rows if row), key=lambda row: float(row["value"]), default=None)


def called(lookup: MetricLookup, model: str, first: bool = False) -> str:
    """A model in a sentence: by name where there are several."""
    the = "The" if first else "the"
    return f"{the} reward" if len(lookup.models) == 1 else name(model)


def accuracy_finding(inputs: Inputs, lookup: MetricLookup) -> Finding | None:
    """The accuracy of the best reward, and its paired differences."""
    ranked = _held_out(lookup) or lookup.ranked()
    if not ranked:
        return None
    best = lookup.row(ranked[0], "accuracy")
    assert best is not None
    said = f"{strong(percent(best['value']))} on {count(best['n'], 'pair')}"
    said += f" ({interval(best['low'], best['high'])})" if best["low"] is not None else ""
    where = "in-sample accuracy" if ranked[0] in lookup.in_sample else "accuracy"
    text = f"{called(lookup, ranked[0], True)} has {where} {said}."
    text += _over_baseline(inputs, lookup, ranked[0]) + _over_others(inputs, lookup, ranked)
    return Finding("Accuracy", text)


def _over_baseline(inputs: Inputs, lookup: MetricLookup, model: str) -> str:
    baseline = best_baseline(lookup)
    if baseline is None:
        return ""
    difference = difference_of(inputs.metrics, lookup, model, str(baseline["model"]))
    if difference is None:
        return ""
    strongest = ", the strongest baseline" if len(lookup.baselines) > 1 else ""
    than = f"the {baseline_name(name(baseline['model'], 30))}{strongest}"
    return f" Paired difference to {than}: {_difference(difference)}."


def _difference(row: Row) -> str:
    """A paired difference with its interval and test, and whether it is significant."""
    said = interval(row["low"], row["high"])
    if row.get("p_holm") is not None:
        said += f"; Holm-corrected p {p_text(row['p_holm'], equals=True)}"
    end = "" if is_significant(row) else ", not significant"
    return f"{strong(points(row['value']))} ({said}){end}"


def _over_others(inputs: Inputs, lookup: MetricLookup, ranked: Sequence[str]) -> str:
    """What the paired tests say of the best reward and the others; never their intervals."""
    best, others = ranked[0], ranked[1:]
    found = {
        other: row
        for other in others
        if (row := difference_of(inputs.metrics, lookup, best, other)) is not None
    }
    if not others:
        return ""
    if not found:
        which = name(others[0], 40) if len(others) == 1 else "another reward"
        return f" Whether it is better than {which} is not tested; the kind compare tests it."
    if len(found) == 1:
        (other,) = found
        return f" Paired difference to {name(other, 40)}: {_difference(found[other])}."
    better = [o for o, row in found.items() if is_significant(row) and row["value"] > 0]
    same = [o for o, row in found.items() if not is_significant(row)]
    text = f" It is better than {len(better)} of {len(found)} others in paired comparison"
    return f"{text}{_not_different(same)}."


def _not_different(names: Sequence[str]) -> str:
    if not names:
        return ""
    if len(names) > MOST_NAMES:
        return f", and not significantly different from {len(names)}"
    return f", and not significantly different from {listed([name(one, 40) for one in names])}"
