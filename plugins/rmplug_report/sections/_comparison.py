"""Paired differences of two models, and the ranks that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rmplug_report.figures import _differences
from rmplug_report.figures._render import Numbers
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import in_percent, metric_title, titled, value_of
from rmplug_report.inputs._row_forms import by, is_comparison, is_rank, sentences, valued
from rmplug_report.inputs._wording import left_out, name

from ._section import Section, Table

MOST_FORESTS = 4
DIFFERENCE = "difference"
WHOLE = ("", "all")


@dataclass(frozen=True)
class Forest:
    """Differences of one figure: of which metric, and on which part where it is only one."""

    metric: str
    subset: str
    rows: Sequence[Row]

    @property
    def title(self) -> str:
        said = f"Differences in {metric_title(self.metric)}" if self.metric else "Differences"
        return _on(said, self.subset)

    @property
    def share(self) -> bool:
        return in_percent(self.metric or DIFFERENCE, self.rows)


def _on(title: str, subset: str) -> str:
    return title if subset in WHOLE else f"{title} on {name(subset)}"


def compared(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Paired differences and ranks; other numbers of two models are a table."""
    pairs, places = valued(inputs.metrics, is_comparison), valued(inputs.metrics, is_rank)
    if not pairs and not places:
        return None
    found = forests(inputs, [row for row in pairs if row.get("low") is not None])
    drawings = [
        _differences.differences(f"differences-{n + 1}", one.title, one.metric, one.rows, one.share)
        for n, one in enumerate(found[:MOST_FORESTS])
    ]
    ranked = sorted(by(places, "step", "subset").items(), key=lambda one: one[0][1] not in WHOLE)
    drawings += [
        _differences.ranks(inputs, f"ranks-{n + 1}", _on("Rank", subset), rows)
        for n, ((_step, subset), rows) in enumerate(ranked[:MOST_FORESTS])
    ]
    left = max(len(found), len(ranked)) - MOST_FORESTS
    lead = left_out(left, "more part")
    return Section("compared", "Paired comparison", lead, drawings=drawings,
                   tables=_more_of_pairs(pairs), notes=sentences([*pairs, *places]))  # fmt: skip


def forests(inputs: Inputs, rows: Sequence[Row]) -> list[Forest]:
    """One for each part, the whole first; one for all parts where each tells one difference."""
    found = []
    for inside in by(rows, "step", "metric").values():
        parts = by(inside, "subset")
        single = len(parts) > 1 and all(len(part) == 1 for part in parts.values())
        shown = {"": inside} if single else {key[0]: part for key, part in parts.items()}
        found += [Forest(of(inputs, part[0]), key, part) for key, part in shown.items()]
    return sorted(found, key=lambda one: one.subset not in WHOLE)


def of(inputs: Inputs, row: Row) -> str:
    """The metric that a difference is of: what its step tells of the same model and part."""
    metric = str(row["metric"])
    if metric != DIFFERENCE:
        return metric
    keys = ("step", "model", "subset")
    same = [
        str(one["metric"])
        for one in inputs.metrics
        if not one.get("other") and all(one.get(key) == row.get(key) for key in keys)
    ]
    return next((one for one in same if one != "rank"), "")


def _more_of_pairs(rows: Sequence[Row]) -> list[Table]:
    """Numbers of two models that have no interval, such as what could have been detected."""
    body = [
        (str(row["model"]), str(row["other"]), titled(str(row["metric"])), str(row["subset"]),
         value_of(row), row.get("n"))
        for row in rows
        if row.get("low") is None
    ]  # fmt: skip
    columns = ("model", "beside", "metric", "part", "value", "n")
    return (
        [Table("More about each pair of models", Numbers(columns, body), folded=True)]
        if body
        else []
    )
