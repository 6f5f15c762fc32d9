"""Findings of audits of the data."""

from __future__ import annotations

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._row_forms import sentences
from rmplug_report.inputs._wording import count

from ._finding import Finding

MOST = 3
ORDER = ("wrong-labels", "found", "more-in-chosen")


def audited(inputs: Inputs) -> list[Row]:
    """Return the rows of metrics that are findings about the data."""
    return [row for row in inputs.metrics if row.get("finding")]


def quality_sentences(inputs: Inputs) -> list[str]:
    """Return the sentences of the findings: estimates first, then faults from the most frequent
    one, then what favours a side."""
    rows = [row for row in audited(inputs) if row.get("sentence")]
    place = {metric: number for number, metric in enumerate(ORDER)}
    rows.sort(key=lambda row: (place.get(str(row["metric"]), len(ORDER)), -float(row["value"])))
    return sentences(rows)


def quality_findings(inputs: Inputs) -> list[Finding]:
    """Return the most frequent findings, and how many more the section of them has."""
    texts = quality_sentences(inputs)
    if len(texts) > MOST + 1:
        more = f"The section on data quality has {count(len(texts) - MOST, 'more finding')}."
        texts = [*texts[: MOST - 1], f"{texts[MOST - 1]} {more}"]
    return [Finding("Data quality", text) for text in texts]
