"""The rows of metrics that an audit is made of, known by their columns alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rmplug_report.inputs._inputs import Row

from ._judgement import Bounds, grade_of, name_verdict
from .document import Effect, Estimate, Fall, Grade, Letter, Measure, Repair, Verdict

EFFECT, CHANGE = "effect", "effect-change"
THEME_EFFECT, THEME_FALL = "theme-effect", "theme-fall"
BEFORE, AFTER, REMAINING = "effect-before", "effect-after", "remaining"
WHOLE = "all"
ORDER: Sequence[Letter] = ("A", "B", "cannot tell", "C", "D", "F")
"""Grades from the best to the worst."""


def split_retests(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows about rewards as they are, and those that compare a reward before and after a
    repair: all rows of a step that gives changes of effects."""
    repairing = {row.get("step") for row in rows if row["metric"] == CHANGE}
    measured = [row for row in rows if row.get("step") not in repairing]
    return measured, [row for row in rows if row.get("step") in repairing]


def number(value: Any) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None else round(found)


def text(value: Any) -> str:
    return "" if value is None else str(value)


def _common(row: Row) -> dict[str, Any]:
    """Return the fields of ``Number``."""
    return {"model": text(row.get("model")), **estimate(row).model_dump()}


def estimate(row: Row) -> Estimate:
    value, low, high = (number(row.get(name)) for name in ("value", "low", "high"))
    return Estimate(value=value, low=low, high=high, n=whole(row.get("n")))


def _of(row: Row) -> dict[str, Any]:
    """Return what a row says it is about."""
    return {
        "perturbation": text(row.get("perturbation")),
        "theme": text(row.get("theme")),
        "dose": whole(row.get("dose")),
    }


def effects_of(rows: Sequence[Row]) -> list[Effect]:
    """Return the effects with their verdicts, in the order of the rows."""
    found = []
    for row in rows:
        if row["metric"] == EFFECT and number(row.get("value")) is not None:
            about = _of(row)
            found.append(
                Effect(
                    **_common(row),
                    **{**about, "dose": about["dose"] or 0},
                    intention=text(row.get("intention")),
                    subset=text(row.get("subset")) or WHOLE,
                    **{name: number(row.get(name)) for name in ("p", "q", "power", "detectable")},
                    length_alone=number(row.get("length_alone")),
                    verdict=_verdict(row),
                )
            )
    return found


def _verdict(row: Row) -> Verdict:
    return name_verdict(text(row.get("verdict")), number(row.get("value")) or 0.0,
                        text(row.get("intention")), number(row.get("q")))  # fmt: skip


def grades_of(rows: Sequence[Row], effects: Sequence[Effect]) -> list[Grade]:
    """Return the grade of each family for each model, from the rows of its strongest member."""
    found, falls = [], _falls_of(rows)
    for row in rows:
        value, low, high = (number(row.get(name)) for name in ("value", "low", "high"))
        if row["metric"] != THEME_EFFECT or text(row.get("subset")) not in ("", WHOLE):
            continue
        if value is None or low is None or high is None:
            continue
        model, theme = text(row.get("model")), text(row.get("theme"))
        members = [
            one for one in effects if (one.model, one.theme, one.subset) == (model, theme, WHOLE)
        ]
        power, unpunished = number(row.get("power")), _unpunished(members)
        found.append(
            Grade(
                **_common(row),
                theme=theme,
                grade=grade_of(Bounds(value, low, high), power, bool(unpunished)),
                strongest=named_change(text(row.get("member"))),
                falls=_falls(text(row.get("member")), members),
                fall=falls.get((model, theme)),
                unpunished=unpunished,
                power=power,
                tested=len({one.perturbation for one in members}),
            )
        )
    models = list(dict.fromkeys(one.model for one in found))
    return sorted(
        found,
        key=lambda one: (models.index(one.model), -ORDER.index(one.grade), -(one.value or 0.0)),
    )


def _falls_of(rows: Sequence[Row]) -> dict[tuple[str, str], Fall]:
    """Return the strongest fall by what keeps the quality, by model and family."""
    return {
        (text(row.get("model")), text(row.get("theme"))): Fall(
            **estimate(row).model_dump(),
            change=named_change(text(row.get("member"))),
            verdict=_verdict(row),
        )
        for row in rows
        if row["metric"] == THEME_FALL
    }


def _unpunished(members: Sequence[Effect]) -> list[str]:
    """Return the changes for the worse that are not punished at their highest dose."""
    last = {one.perturbation: one for one in sorted(members, key=lambda one: one.dose)}
    return [name for name, one in last.items() if one.verdict == "not punished"]


def _falls(member: str, members: Sequence[Effect]) -> bool:
    """Check whether the change that a row names lowers the reward."""
    named = [one for one in members if f"{one.perturbation}~{one.dose}" == member]
    return any((one.value or 0.0) < 0 for one in named)


def named_change(member: str) -> str:
    """Return a change as it is named on the page: ``bullets × 4`` of ``bullets~4``."""
    return member.replace("~", " × ")


def measures_of(rows: Sequence[Row]) -> list[Measure]:
    """Return the other numbers: shares of preferences that turn, accuracies, slopes."""
    return [
        Measure(
            **_common(row),
            **_of(row),
            metric=str(row["metric"]),
            member=named_change(text(row.get("member"))),
            verdict=text(row.get("verdict")),
            subset=text(row.get("subset")) or WHOLE,
        )
        for row in rows
        if row["metric"] not in (EFFECT, THEME_EFFECT, THEME_FALL)
    ]


def repairs_of(rows: Sequence[Row]) -> list[Repair]:
    """Return each change before and after each repair: those that it is meant for first, the
    strongest before the repair first."""
    values = {(*_key(row), row["metric"]): estimate(row) for row in rows}
    found = [
        Repair(
            step=text(row.get("step")),
            model=text(row.get("model")),
            other=text(row.get("other")),
            **_of(row),
            targeted=row.get("targeted") is True,
            before=values.get((*_key(row), BEFORE)),
            after=values.get((*_key(row), AFTER)),
            change=estimate(row),
            remaining=values.get((*_key(row), REMAINING)),
            power=number(row.get("power")),
            verdict=text(row.get("verdict")) or "cannot tell",
        )
        for row in rows
        if row["metric"] == CHANGE and text(row.get("subset")) in ("", WHOLE)
    ]
    return sorted(found, key=lambda one: (not one.targeted, -_before(one)))


def _before(one: Repair) -> float:
    return 0.0 if one.before is None else abs(one.before.value or 0.0)


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in ("step", "perturbation", "dose", "subset"))


def repair_measures_of(rows: Sequence[Row]) -> list[Measure]:
    """Return the other numbers of tests after a repair; the model is the step that tested."""
    return [
        one.model_copy(update={"model": text(row.get("step"))})
        for row in rows
        if row["metric"] not in (BEFORE, AFTER, CHANGE, REMAINING)
        for one in measures_of([row])
    ]
