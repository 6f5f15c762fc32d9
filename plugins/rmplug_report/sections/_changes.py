"""Sections of changes (before and after) and of one number for each attribute."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug_report.figures import _differences, _parts
from rmplug_report.figures._render import Drawing
from rmplug_report.figures._training_curves import clock
from rmplug_report.findings._fits import explained_parts
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import FLOORS, split_floor, titled
from rmplug_report.inputs._row_forms import by, is_change, is_plain, sentences, valued
from rmplug_report.inputs._wording import count, label, plain

from ._section import Section

MOST = 6
WHOLE = ("", "all")


def changed(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of numbers with ``-before`` and ``-after``, from any step."""
    rows = valued([*inputs.metrics, *inputs.numbers], is_change)
    drawings: list[Drawing] = []
    for (step,), inside in by(rows, "step").items():
        for metric in dict.fromkeys(_stem(row) for row in inside):
            pairs = _pairs([row for row in inside if _stem(row) == metric])
            if pairs:
                title = f"{titled(metric)}, before and after {label(step)}".rstrip()
                drawings.append(_differences.changes(f"change-{len(drawings) + 1}", title, pairs))
    if not drawings:
        return None
    lead = ["The same number before and after a step, with 95 % intervals."]
    if len(drawings) > MOST:
        lead.append(f"The first {MOST} of {len(drawings)} figures.")
    return Section("changes", "Before and after", lead, drawings=drawings[:MOST],
                   notes=sentences(rows))  # fmt: skip


def _stem(row: Row) -> str:
    return str(row["metric"]).removesuffix("-before").removesuffix("-after")


def _pairs(rows: Sequence[Row]) -> list[tuple[str, Row, Row]]:
    """Return label, before and after where both ends are present."""
    pairs = []
    for (model, subset), inside in by(rows, "model", "subset").items():
        ends = {str(row["metric"]).rsplit("-", 1)[1]: row for row in inside}
        if len(ends) == 2:
            subset = subset if subset not in WHOLE or not model else ""
            part = ", ".join(one for one in (model, subset) if one) or "all"
            pairs.append((part, ends["before"], ends["after"]))
    return pairs


def attributes(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of numbers of fits and checkpoints for each of several parts, with
    intervals."""
    rows = [row for row in valued(inputs.numbers, is_plain) if clock(row) is None]
    drawings: list[Drawing] = []
    shown: list[Row] = []
    for (step, metric), inside in by(_beside_floors(rows), "step", "metric").items():
        parts = [row for row in inside if _is_part(row)]
        if len({row["subset"] for row in parts}) < 2 or all(r.get("low") is None for r in parts):
            continue
        title = f"{titled(metric)}: {label(step)}"
        drawings.append(_parts.parts(inputs, f"attribute-{len(drawings) + 1}", title, parts))
        shown += inside
    if not drawings:
        return None
    left = len(drawings) - MOST
    lead = ["What each attribute is worth by itself, with 95 % intervals."]
    if left > 0:
        lead.append(f"{count(left, 'more figure')} of this form left out; metrics.json has them.")
    notes = [plain(one) for one in explained_parts(inputs).values()] + sentences(shown)
    return Section("attributes", "Attribute by attribute", lead,
                   drawings=drawings[:MOST], notes=notes)  # fmt: skip


def _is_part(row: Row) -> bool:
    return str(row.get("subset") or "") not in WHOLE


def _beside_floors(rows: Sequence[Row]) -> list[Row]:
    """Turn rows of ``<metric>-of-<floor>`` into baselines of a metric that the step has."""
    metrics = {(row.get("step"), row["metric"]) for row in rows}
    relabelled = []
    for row in rows:
        stem, floor = split_floor(str(row["metric"]))
        if floor and (row.get("step"), stem) in metrics:
            row = {**row, "metric": stem, "kind": "baseline", "model": FLOORS[floor]}
        relabelled.append(row)
    return relabelled
