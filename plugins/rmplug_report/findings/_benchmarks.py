"""Findings about benchmarks and comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_names import baseline_name, in_percent
from rmplug_report.inputs._row_forms import (
    by,
    distinct,
    is_comparison,
    is_level,
    sentences,
    valued,
)
from rmplug_report.inputs._wording import amount, count, label, number, span, strong

from ._finding import Finding

WHOLE = ("", "all")
MOST_BENCHMARKS = 3


def overall(inputs: Inputs) -> dict[str, list[Row]]:
    """Return, by step, each model's and baseline's overall number on a benchmark, best first."""
    rows = [row for row in valued(inputs.metrics, is_level) if row["level"] == "overall"]
    results: dict[str, list[Row]] = {}
    for (step,), inside in by(rows, "step").items():
        metric, subset = str(inside[0]["metric"]), str(inside[0]["subset"])
        same = [row for row in inside if (row["metric"], row["subset"]) == (metric, subset)]
        results[step] = sorted(same, key=lambda row: -float(row["value"]))
    return results


def benchmark_headline(inputs: Inputs) -> str:
    """Return the best result on the first benchmark, and the strongest baseline's."""
    for step, rows in overall(inputs).items():
        models, baselines = _apart(rows)
        if models:
            head = "" if len(models) == 1 else f"Best of {len(models)} rewards: "
            return head + _whole(step, models, baselines)
    return ""


def _whole(step: str, models: Sequence[Row], baselines: Sequence[Row]) -> str:
    """Describe the best model's overall number on a benchmark, and the strongest baseline's."""
    best, share = models[0], in_percent(str(models[0]["metric"]), models)
    text = f"{label(best['model'], 40)}, {label(best['metric'])} "
    text += strong(amount(best["value"], share))
    items = f"n = {number(best['n'])}" if best.get("n") is not None else ""
    bounds = span(best.get("low"), best.get("high"), share)
    aside = "; ".join(one for one in (f"95 % CI {bounds}" if bounds else "", items) if one)
    text += (f" ({aside})" if aside else "") + f" on {label(step or 'the benchmark')}"
    if not baselines:
        return f"{text}."
    value = strong(amount(baselines[0]["value"], share))
    return f"{text}; {baseline_name(label(baselines[0]['model'], 30))} {value}."


def _apart(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    models = [row for row in rows if row.get("kind") != "baseline"]
    return models, [row for row in rows if row.get("kind") == "baseline"]


def benchmark_findings(inputs: Inputs) -> list[Finding]:
    """Return the whole of each benchmark, its flagged parts, and the first comparisons."""
    results = [
        Finding("Benchmark", _whole(step, *_apart(rows)))
        for step, rows in list(overall(inputs).items())[:MOST_BENCHMARKS]
        if _apart(rows)[0]
    ]
    results += _flagged(inputs)
    pairs = valued(inputs.metrics, is_comparison)
    whole = [row for row in pairs if row["subset"] in WHOLE]
    if comparisons := sentences(whole or pairs):
        more = (
            f" {count(len(comparisons) - 1, 'more comparison')} below." if comparisons[1:] else ""
        )
        results.append(Finding("Comparison", comparisons[0] + more))
    return results


def _flagged(inputs: Inputs) -> list[Finding]:
    """Return the number of parts that a baseline gets right too often."""
    rows = [row for row in valued(inputs.metrics, is_level) if row.get("sentence")]
    parts = distinct(rows, "subset")
    if not parts:
        return []
    carry = "carries" if len(parts) == 1 else "carry"
    text = f"{count(len(parts), 'part')} of the benchmark {carry} a warning: "
    return [Finding("Warnings", text + sentences(rows)[0])]
