"""The section of paired differences of two models, and of the ranks that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rmplug_report.figures import _differences
from rmplug_report.figures._render import Numbers
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import in_percent, metric_title, titled, value_of
from rmplug_report.inputs._row_forms import by, is_comparison, is_rank, sentences, valued
from rmplug_report.inputs._wording import label, left_out

from ._section import Section, Table

MOST_FORESTS = 4
DIFFERENCE = "difference"
WHOLE = ("", "all")


@dataclass(frozen=True)
class Forest:
    """Differences of one figure: their metric, their part where it is only one, and their step
    where there are several."""

    metric: str
    subset: str
    rows: Sequence[Row]
    step: str = ""

    @property
    def title(self) -> str:
        title = f"Differences in {metric_title(self.metric)}" if self.metric else "Differences"
        return _by(_on(title, self.subset), self.step)

    @property
    def share(self) -> bool:
        return in_percent(self.metric or DIFFERENCE, self.rows)


def _by(title: str, step: str) -> str:
    """Name the step of a figure where several give the same."""
    return f"{title}, by {label(step)}" if step else title


def _on(title: str, subset: str) -> str:
    return title if subset in WHOLE else f"{title} on {label(subset)}"


def compared(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of paired differences and ranks; other pairwise numbers are a table."""
    pairs, rank_rows = valued(inputs.metrics, is_comparison), valued(inputs.metrics, is_rank)
    if not pairs and not rank_rows:
        return None
    groups = forests(inputs, [row for row in pairs if row.get("low") is not None])
    drawings = [
        _differences.differences(f"differences-{n + 1}", one.title, one.metric, one.rows, one.share)
        for n, one in enumerate(groups[:MOST_FORESTS])
    ]
    ranked = sorted(by(rank_rows, "step", "subset").items(), key=lambda one: one[0][1] not in WHOLE)
    several = len({step for (step, _), _ in ranked}) > 1
    drawings += [
        _differences.ranks(
            inputs, f"ranks-{n + 1}", _by(_on("Rank", subset), step if several else ""), rows
        )
        for n, ((step, subset), rows) in enumerate(ranked[:MOST_FORESTS])
    ]
    left = max(len(groups), len(ranked)) - MOST_FORESTS
    lead = [
        "Differences between rewards on the same rows. An interval that does not hold 0 is a "
        "difference; rewards that share a rank are not told apart.",
        *left_out(left, "more part"),
    ]
    return Section("compared", "Paired comparison", lead, drawings=drawings,
                   tables=_more_of_pairs(pairs), notes=sentences([*pairs, *rank_rows]))  # fmt: skip


def forests(inputs: Inputs, rows: Sequence[Row]) -> list[Forest]:
    """Group differences into one forest per part, the whole first; into one for all parts where
    each has one difference."""
    groups = []
    measured = by(rows, "step", "metric")
    several = len({step for step, _ in measured}) > 1
    for (step, _), inside in measured.items():
        parts = by(inside, "subset")
        single = len(parts) > 1 and all(len(part) == 1 for part in parts.values())
        shown = {"": inside} if single else {key[0]: part for key, part in parts.items()}
        own = step if several else ""
        groups += [Forest(of(inputs, part[0]), key, part, own) for key, part in shown.items()]
    return sorted(groups, key=lambda one: one.subset not in WHOLE)


def of(inputs: Inputs, row: Row) -> str:
    """Return the metric of a difference: the one its step reports of the same model and part."""
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
    """Return a table of the numbers of two models that have no interval."""
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
