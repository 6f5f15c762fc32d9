"""The section of two runs side by side: what differs in their specs, results and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug_report.figures._differences import changes
from rmplug_report.figures._render import Drawing, Numbers
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import titled
from rmplug_report.inputs._row_forms import by, is_of_runs
from rmplug_report.inputs._wording import between, count, label

from ._section import Section, Table

MOST_FIGURES, MOST_LINES = 6, 30
CAPTIONS = {
    "run": "The runs",
    "spec": "What differs in the specs",
    "steps": "Steps that only one run has",
    "result": "Results that differ",
}


def runs(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of the comparison of two runs, from metrics with a column ``where``."""
    rows = [row for row in inputs.metrics if is_of_runs(row)]
    if not rows:
        return None
    parts = {where: inside for (where,), inside in by(rows, "where").items()}
    numbers = parts.pop("numbers", [])
    tables = [
        Table(CAPTIONS.get(where, label(where)), _texts(inside), where == "result")
        for where, inside in parts.items()
    ]
    if numbers:
        tables.insert(1, Table("Numbers that differ", _numbers(numbers), len(numbers) > 40))
    lead = [
        f"{count(len(numbers), 'number')} of the two runs differ; what is the same in both is not "
        "listed. The interval of a difference takes the runs for independent: where both are "
        "measured on the same rows, a paired test in one spec (compare) is sharper."
    ]
    return Section("runs", "Two runs", lead, drawings=_drawings(numbers), tables=tables)


def _texts(rows: Sequence[Row]) -> Numbers:
    columns = ("what", "first", "second")
    body = [tuple(str(row[key] or "") for key in columns) for row in rows]
    return Numbers(columns, body)


def _numbers(rows: Sequence[Row]) -> Numbers:
    body = [
        (str(row["what"]), row["first_value"],
         between(row["first_low"], row["first_high"], 1), row["second_value"],
         between(row["second_low"], row["second_high"], 1), row["value"],
         between(row["low"], row["high"], 1), row["n"])
        for row in rows
    ]  # fmt: skip
    columns = ("number", "first", "95 % CI", "second", "95 % CI of second", "second − first",
               "95 % CI of difference", "n")  # fmt: skip
    return Numbers(columns, body)


def _drawings(rows: Sequence[Row]) -> list[Drawing]:
    """Return a figure for each metric that both runs have with an interval."""
    drawn = [row for row in rows if row.get("low") is not None]
    return [
        _drawing(f"runs-{index + 1}", metric, inside[:MOST_LINES])
        for index, ((metric,), inside) in enumerate([*by(drawn, "metric").items()][:MOST_FIGURES])
    ]


def _drawing(file: str, metric: str, rows: Sequence[Row]) -> Drawing:
    pairs = [
        (_without(str(row["what"]), metric), _end(row, "first"), _end(row, "second"))
        for row in rows
    ]
    return changes(file, f"{titled(metric)}, first and second run", pairs, ("first", "second"))


def _without(what: str, metric: str) -> str:
    """Return the name of a number without its metric, which the title has."""
    return " / ".join(part for part in what.split(" / ") if part not in (metric, "all"))


def _end(row: Row, run: str) -> Row:
    ends = {name: row[f"{run}_{name}"] for name in ("value", "low", "high")}
    return {**ends, "n": row["n"]}
