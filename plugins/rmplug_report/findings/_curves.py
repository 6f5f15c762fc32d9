"""Findings about curves."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_names import in_percent, metric_title
from rmplug_report.inputs._paired import is_significant
from rmplug_report.inputs._row_forms import by, is_comparison, is_point, sentences, valued
from rmplug_report.inputs._wording import amount, count, label, number, strong

from ._finding import Finding


def curve_findings(inputs: Inputs) -> list[Finding]:
    """Return the first sentence among the points of curves."""
    lines = sentences(valued([*inputs.metrics, *inputs.numbers], is_point))
    if not lines:
        return []
    more = f" {count(len(lines) - 1, 'more sentence')} below." if lines[1:] else ""
    return [Finding("Curve", lines[0] + more)]


def curve_headline(inputs: Inputs) -> str:
    """Describe both ends of the first curve of a model, and its difference from the other model."""
    points = [row for row in valued(inputs.metrics, is_point) if row.get("kind") != "baseline"]
    lines = by(points, "step", "axis", "metric", "model")
    line = next((rows for rows in lines.values() if len({row["at"] for row in rows}) > 1), None)
    if line is None:
        return ""
    rows = sorted(line, key=lambda row: float(row["at"]))
    first, last = rows[0], rows[-1]
    metric, axis = str(first["metric"]), str(first["axis"])
    share = in_percent(metric, rows)
    ends = [strong(amount(row["value"], share)) for row in (first, last)]
    positions = [position(row["at"], axis) for row in (first, last)]
    who = label(first["model"], 30) if first.get("model") else "The curve"
    text = f"{who}: {metric_title(metric)} from {ends[0]} to {ends[1]}"
    over = f"the {axis}" if axis[:1].islower() else axis
    return (
        f"{text} as {over} goes from {positions[0]} to {positions[1]}{_significant(inputs, first)}."
    )


def position(at: float, axis: str) -> str:
    """Format a position on an axis, in per cent if the axis is of shares."""
    return amount(at, True, 0) if "share" in axis and 0 <= at <= 1 else number(at)


def _significant(inputs: Inputs, point: Row) -> str:
    """Describe at how many points the curve's model differs from the other."""
    rows = [
        row
        for row in valued(inputs.metrics, is_comparison)
        if row.get("step") == point.get("step") and row.get("model") == point.get("model")
        and row.get("low") is not None
    ]  # fmt: skip
    others = by(rows, "other")
    if len(others) != 1:
        return ""
    ((other,), inside) = next(iter(others.items()))
    clear = [row for row in inside if is_significant(row)]
    if not clear:
        return f"; no significant difference from {label(other, 30)} in between"
    return f"; {_sides(clear, len(inside))} compared with {label(other, 30)}"


def _sides(clear: Sequence[Row], points: int) -> str:
    above = sum(row["value"] > 0 for row in clear)
    texts = [f"significantly {side} at {n} of {points} points"
            for n, side in ((above, "above"), (len(clear) - above, "below")) if n]  # fmt: skip
    return " and ".join(texts)
