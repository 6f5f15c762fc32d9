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
    label,
    listed,
    percent,
    points,
    strong,
    with_interval,
)

from ._finding import Finding
from ._in_sample import in_sample_headline

MOST_NAMES = 4
BASELINES = {
    "first-character": " That baseline prefers the response whose first character was more often "
    "that of a chosen response to other prompts."
}
"""What a baseline does whose name does not tell it."""


def accuracy_headline(inputs: Inputs, lookup: MetricLookup) -> str:
    """Return the accuracy of the best reward and of the strongest baseline; an empty string without
    a reward."""
    ranked = _held_out(lookup)
    if not ranked:
        in_sample = lookup.ranked()[:1]
        return in_sample_headline(lookup, in_sample[0]) if in_sample else ""
    best = lookup.row(ranked[0], "accuracy")
    assert best is not None
    text = f"accuracy {with_interval(best['value'], best['low'], best['high'])}"
    text = text[:1].upper() + text[1:]
    if len(ranked) > 1:
        text = f"{text[:1].lower()}{text[1:]}"
        text = f"Best of {len(ranked)} rewards, {label(ranked[0], 40)}: {text}"
    baseline = best_baseline(lookup)
    if baseline is None:
        return f"{text}."
    other, value = label(baseline["model"], 30), strong(percent(baseline["value"]))
    difference = difference_of(inputs.metrics, lookup, ranked[0], str(baseline["model"]))
    if difference is not None and not is_significant(difference):
        return f"{text}; not significantly different from the {baseline_name(other)}, {value}."
    if difference is not None and difference["value"] < 0:
        return f"{text}; below the {baseline_name(other)}, {value}."
    return f"{text}; {baseline_name(other)} {value}."


def _held_out(lookup: MetricLookup) -> list[str]:
    """Return the models that are not known to be in-sample, the most accurate first."""
    return [model for model in lookup.ranked() if model not in lookup.in_sample]


def best_baseline(lookup: MetricLookup) -> Row | None:
    """Return the baseline with the highest accuracy."""
    rows = [lookup.row(baseline, "accuracy") for baseline in lookup.baselines]
    return max((row for row in rows if row), key=lambda row: float(row["value"]), default=None)


def called(lookup: MetricLookup, model: str, first: bool = False) -> str:
    """Return a model's name for a sentence: its own where there are several models."""
    the = "The" if first else "the"
    return f"{the} reward" if len(lookup.models) == 1 else label(model)


def accuracy_finding(inputs: Inputs, lookup: MetricLookup) -> Finding | None:
    """Return the accuracy of the best reward, and its paired differences."""
    ranked = _held_out(lookup) or lookup.ranked()
    if not ranked:
        return None
    best = lookup.row(ranked[0], "accuracy")
    assert best is not None
    value = f"{strong(percent(best['value']))} on {count(best['n'], 'pair')}"
    value += f" ({interval(best['low'], best['high'])})" if best["low"] is not None else ""
    where = "in-sample accuracy" if ranked[0] in lookup.in_sample else "accuracy"
    text = f"{called(lookup, ranked[0], True)} has {where} {value}."
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
    than = f"the {baseline_name(label(baseline['model'], 30))}{strongest}"
    text = f" Paired difference to {than}: {_difference(difference)}."
    return text + BASELINES.get(str(baseline["model"]), "")


def _difference(row: Row) -> str:
    """Format a paired difference with its interval and test, and its significance."""
    details = interval(row["low"], row["high"])
    if row.get("p_holm") is not None:
        details += f"; Holm-corrected p {p_text(row['p_holm'], equals=True)}"
    end = "" if is_significant(row) else ", not significant"
    return f"{strong(points(row['value']))} ({details}){end}"


def _over_others(inputs: Inputs, lookup: MetricLookup, ranked: Sequence[str]) -> str:
    """Describe the paired tests of the best reward against the others; never their intervals."""
    best, others = ranked[0], ranked[1:]
    tested = {
        other: row
        for other in others
        if (row := difference_of(inputs.metrics, lookup, best, other)) is not None
    }
    if not others:
        return ""
    if not tested:
        which = label(others[0], 40) if len(others) == 1 else "another reward"
        return f" Whether it is better than {which} is not tested; the kind compare tests it."
    if len(tested) == 1:
        (other,) = tested
        return f" Paired difference to {label(other, 40)}: {_difference(tested[other])}."
    better = [o for o, row in tested.items() if is_significant(row) and row["value"] > 0]
    same = [o for o, row in tested.items() if not is_significant(row)]
    if not better and same:
        return f" In paired comparison it is not significantly different from {_names(same)}."
    text = f" It is better than {len(better)} of {len(tested)} others in paired comparison"
    same_text = f", and not significantly different from {_names(same)}" if same else ""
    return f"{text}{same_text}."


def _names(names: Sequence[str]) -> str:
    """List models, or say how many they are."""
    if len(names) > MOST_NAMES:
        return f"{len(names)} others"
    return listed([label(one, 40) for one in names])
