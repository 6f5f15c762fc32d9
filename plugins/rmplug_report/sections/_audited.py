"""The section that says where an audit is drawn."""

from __future__ import annotations

from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._wording import count

from ._section import Section


def audited(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return a sentence on the numbers of an audit, which have a page of their own."""
    if not inputs.audit:
        return None
    numbers = count(len(inputs.audit), "number")
    lead = f"{numbers} about changed responses: in metrics.json, and drawn by the kind audit-card."
    return Section("audit", "Audit", [lead])
