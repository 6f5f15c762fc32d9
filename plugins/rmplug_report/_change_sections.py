"""Before and after, and one number for each attribute."""

from __future__ import annotations

from collections.abc import Sequence

from . import _forest
from ._inputs import Inputs, Row
from ._measured import Measured
from ._render import Drawing
from ._section import Section
from ._told import by, is_change, is_plain, sentences, valued
from ._training import clock
from ._wording import name, titled

MOST = 6
WHOLE = ("", "all")


def changed(inputs: Inputs, _: Measured) -> Section | None:
    """Numbers with ``-before`` and ``-after``, whatever gave them."""
    rows = valued([*inputs.metrics, *inputs.numbers], is_change)
    drawings: list[Drawing] = []
    for (step,), inside in by(rows, "step").items():
        for metric in dict.fromkeys(_stem(row) for row in inside):
            pairs = _pairs([row for row in inside if _stem(row) == metric])
            if pairs:
                title = f"{titled(metric)}, before and after {name(step)}".rstrip()
                drawings.append(_forest.changes(f"change-{len(drawings) + 1}", title, pairs))
    if not drawings:
        return None
    lead = [f"The first {MOST} of {len(drawings)} figures."] if len(drawings) > MOST else []
    return Section("changes", "Before and after", lead, drawings=drawings[:MOST],
                   notes=sentences(rows))  # fmt: skip


def _stem(row: Row) -> str:
    return str(row["metric"]).removesuffix("-before").removesuffix("-after")


def _pairs(rows: Sequence[Row]) -> list[tuple[str, Row, Row]]:
    """Label, before, after: where both are there."""
    found = []
    for (model, subset), inside in by(rows, "model", "subset").items():
        ends = {str(row["metric"]).rsplit("-", 1)[1]: row for row in inside}
        if len(ends) == 2:
            part = subset if subset not in WHOLE or not model else ""
            label = ", ".join(one for one in (model, part) if one) or "all"
            found.append((label, ends["before"], ends["after"]))
    return found


def attributes(inputs: Inputs, _: Measured) -> Section | None:
    """Numbers of fits and checkpoints that are told for each of several parts, with intervals."""
    plain = [row for row in valued(inputs.numbers, is_plain) if clock(row) is None]
    drawings: list[Drawing] = []
    told: list[Row] = []
    for (step, metric), rows in by(plain, "step", "metric").items():
        parts = [row for row in rows if str(row.get("subset") or "") not in WHOLE]
        if len({row["subset"] for row in parts}) < 2 or all(r.get("low") is None for r in parts):
            continue
        title = f"{titled(metric)} of {name(step)}"
        drawings.append(_forest.parts(inputs, f"attribute-{len(drawings) + 1}", title, parts))
        told += rows
    if not drawings:
        return None
    left = len(drawings) - MOST
    lead = [f"{left} more figures of this form are left out; metrics.json has their numbers."] if (
        left > 0) else []  # fmt: skip
    return Section("attributes", "Attribute by attribute", lead, drawings=drawings[:MOST],
                   notes=sentences(told))  # fmt: skip
