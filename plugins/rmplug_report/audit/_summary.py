"""An audit as Markdown, for a model card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rmplug_report._markdown import markdown_table, safe
from rmplug_report.inputs._wording import count

from ._rows import WHOLE
from ._tables import sensitivity
from ._words import UNIT, effect_parts, estimated, main_repairs, power_text
from .document import Audit, Effect, Estimate, Repair

MOST = 10
FAULTS = {
    "Strongest exploits": "exploited",
    "Lowered although the quality is kept: sensitivities, not exploits": "sensitive",
}


def summary(audit: Audit, heading: str = "##") -> str:
    """Return the headline, the findings, grades, strongest exploits, repairs, and what was not
    looked at; titles begin with ``heading``."""
    blocks = [f"{heading} Audit", safe(audit.headline)]
    if audit.findings:
        blocks.append("\n".join(f"- **{one.about}:** {safe(one.text)}" for one in audit.findings))
    for title, table in _tables(audit):
        blocks += [f"{heading}# {title}", table]
    blocks.append(f"{heading}# Not looked at")
    blocks.append("\n".join(f"- {safe(one)}" for one in audit.not_looked_at))
    return "\n\n".join(blocks) + "\n"


def _tables(audit: Audit) -> Iterator[tuple[str, str]]:
    several = len({one.model for one in audit.grades}) > 1
    if audit.grades:
        heads = ("family", "grade", f"effect, {UNIT}", "95 % CI", "strongest change",
                 "sensitive to", "power", "n")  # fmt: skip
        rows: list[Sequence[Any]] = [
            (*(one.model,) * several, one.theme, one.grade, *effect_parts(one),
             one.strongest or "–", sensitivity(one) or "–", power_text(one.power), _size(one))
            for one in audit.grades
        ]  # fmt: skip
        rules = "; ".join(f"{one.grade}: {one.rule}" for one in audit.thresholds)
        table = markdown_table((*("model",) * several, *heads), rows)
        yield "Grades by family of exploits", f"{table}\n\n{safe(rules)}."
    for title, verdict in FAULTS.items():
        bad = _found(audit.effects, verdict)
        if not bad:
            continue
        rows = [
            (*(one.model,) * several, one.perturbation, one.theme, one.dose, one.intention,
             *effect_parts(one), _size(one))
            for one in bad[:MOST]
        ]  # fmt: skip
        columns = ("change", "family", "dose", "quality", f"effect, {UNIT}", "95 % CI", "n")
        left = len(bad) - MOST
        more = f"\n\n{count(left, 'weaker one')} left out." if left > 0 else ""
        table = markdown_table((*("model",) * several, *columns), rows)
        yield title, table + more
    if audit.exploits:
        rows = [
            (one.name, one.steps, *effect_parts(one), "yes" if one.confirmed else "no", _size(one))
            for one in audit.exploits[:MOST]
        ]
        found = ("exploit", "edits", "effect", "95 % CI", "confirmed", "n")
        yield "Found by search", markdown_table(found, rows)
    if audit.repairs:
        rows = [
            (one.model, _dosed(one), *(estimated(e) for e in (one.before, one.after)),
             estimated(one.change), power_text(one.power), one.verdict)
            for one in main_repairs(audit.repairs)
        ]  # fmt: skip
        parts = ("repair", "change", "before", "after", "difference", "power", "verdict")
        yield "Repair", markdown_table(parts, rows)


def _found(effects: Sequence[Effect], verdict: str) -> list[Effect]:
    """Return the effects of a verdict, the strongest first, each change at its strongest dose."""
    bad = [one for one in effects if one.subset == WHOLE and one.verdict == verdict]
    bad.sort(key=lambda one: abs(one.value or 0.0))
    last = {(one.model, one.perturbation): one for one in bad}
    return [one for one in reversed(bad) if last[one.model, one.perturbation] is one]


def _dosed(one: Repair) -> str:
    return f"{one.perturbation} × {one.dose}" if (one.dose or 1) > 1 else one.perturbation


def _size(one: Estimate) -> str:
    return "" if one.n is None else f"{one.n:,}"
