"""Writing of an audit: its page, ``audit.json`` and ``audit.md``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rmplug import Artifact, DataError, Features, PlanView
from rmplug_report._page import Content, write_page
from rmplug_report.inputs._inputs import gather
from rmplug_report.inputs._wording import count

from ._read import Limits, read_audit
from ._sections import grade_board, sections_of
from ._summary import summary
from .document import Audit

JSON, MARKDOWN = "audit.json", "audit.md"


def write_audit(
    items: Sequence[Artifact], plan: PlanView, directory: Path, title: str, limits: Limits
) -> None:
    """Write ``index.html`` with its figures, ``audit.json``, ``audit.md`` and ``metrics.json``."""
    inputs = gather(items, plan)
    if not inputs.audit:
        raise DataError(
            "audit-card has no effects of changed responses to show; give it the metrics of "
            "effects or retest"
        )
    rewards = [one for one in items if isinstance(one, Features)]
    audit, words = read_audit(inputs, rewards, limits)
    text = audit.model_dump_json(indent=1) + "\n"
    (directory / JSON).write_text(text, encoding="utf-8", newline="\n")
    (directory / MARKDOWN).write_text(summary(audit), encoding="utf-8", newline="\n")
    content = Content(
        title,
        words.headline,
        words.findings,
        _about(audit),
        sections_of(audit, inputs),
        grade_board(audit),
    )
    models = list(dict.fromkeys(one.model for one in audit.effects))
    told: dict[str, Any] = {"name": audit.name, "seed": audit.seed, "headline": audit.headline}
    told["findings"] = [one.model_dump() for one in audit.findings]
    write_page(inputs, content, models, directory, told, JSON)


def _about(audit: Audit) -> list[str]:
    """Return the facts in small letters above the headline."""
    models = {one.model for one in audit.effects}
    changes = {one.perturbation for one in audit.effects}
    facts = [count(len(models), "reward"), count(len(changes), "change")]
    return [*facts, f"seed {audit.seed}"]
