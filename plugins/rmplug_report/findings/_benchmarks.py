"""What benchmarks and comparisons say, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_names import in_percent
from rmplug_report.inputs._row_forms import (
    by,
    distinct,
    is_comparison,
    is_level,
    sentences,
    valued,
)
from rmplug_report.inputs._wording import amount, count, name, number, span, strong

WHOLE = ("", "all")
MOST_BENCHMARKS = 3


@dataclass(frozen=True)
class Finding:
    """One sentence or two, and what they are about."""

    about: str
    text: str


def overall(inputs: Inputs) -> dict[str, list[Row]]:
    """By step, each model's and each baseline's number on the whole of a benchmark, best first."""
    rows = [row for row in valued(inputs.metrics, is_level) if row["level"] == "overall"]
    found: dict[str, list[Row]] = {}
    for (step,), inside in by(rows, "step").items():
        metric, subset = str(inside[0]["metric"]), str(inside[0]["subset"])
        same = [row for row in inside if (row["metric"], row["subset"]) == (metric, subset)]
        found[step] = sorted(same, key=lambda row: -float(row["value"]))
    return found


def benchmark_headline(inputs: Inputs) -> str:
    """The best of the first benchmark, and what the strongest baseline would score."""
    for rows in overall(inputs).values():
        models, rules = _apart(rows)
        if models:
            best, share = models[0], in_percent(str(models[0]["metric"]), models)
            who = "The reward" if len(models) == 1 else f"Of {len(models)} rewards "
            who += "" if len(models) == 1 else name(best["model"], 40)
            most = " scores" if len(models) == 1 else " scores highest,"
            said = f"{who}{most} {strong(amount(best['value'], share))}"
            return f"{said}{_baseline(rules, share)}."
    return ""


def _baseline(rules: Sequence[Row], share: bool) -> str:
    if not rules:
        return ""
    best = strong(amount(rules[0]["value"], share))
    return f"; the strongest simple rule, {name(rules[0]['model'], 30)}, {best}"


def _apart(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    models = [row for row in rows if row.get("kind") != "baseline"]
    return models, [row for row in rows if row.get("kind") == "baseline"]


def benchmark_findings(inputs: Inputs) -> list[Finding]:
    """The whole of each benchmark, its flagged parts, and the first comparisons."""
    found = [
        Finding("Benchmark", _best(step, *_apart(rows)))
        for step, rows in list(overall(inputs).items())[:MOST_BENCHMARKS]
        if _apart(rows)[0]
    ]
    found += _flagged(inputs)
    pairs = valued(inputs.metrics, is_comparison)
    whole = [row for row in pairs if row["subset"] in WHOLE]
    if told := sentences(whole or pairs):
        more = f" {count(len(told) - 1, 'more sentence')} of this form below." if told[1:] else ""
        found.append(Finding("Comparison", told[0] + more))
    return found


def _best(step: str, models: Sequence[Row], rules: Sequence[Row]) -> str:
    best, share = models[0], in_percent(str(models[0]["metric"]), models)
    interval = span(best.get("low"), best.get("high"), share)
    said = strong(amount(best["value"], share)) + (
        f" (95 % interval {interval})" if interval else ""
    )
    items = f" on {number(best['n'])} items" if best.get("n") is not None else ""
    text = f"{name(best['model'])} has {said}{items} of {name(step or 'the benchmark')}"
    return f"{text}{_baseline(rules, share)}."


def _flagged(inputs: Inputs) -> list[Finding]:
    """How many parts a simple rule gets right too often."""
    rows = [row for row in valued(inputs.metrics, is_level) if row.get("sentence")]
    parts = distinct(rows, "subset")
    if not parts:
        return []
    carry = "carries" if len(parts) == 1 else "carry"
    text = f"{count(len(parts), 'part')} of the benchmark {carry} a warning: "
    return [Finding("Warnings", text + sentences(rows)[0])]
