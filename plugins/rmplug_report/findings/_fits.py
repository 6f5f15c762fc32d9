"""What fits explain, in sentences that claim no more than their intervals allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rmplug import Fit
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._row_forms import by, is_plain, valued
from rmplug_report.inputs._wording import between, count, listed, name, percent, strong

WHOLE = ("", "all")
MOST_NAMES = 6


def is_chance(row: Row) -> bool:
    """Whether an explained variance could be that of predicting the mean."""
    return row.get("low") is not None and row["low"] <= 0


def held_out(fit: Fit) -> Row | None:
    """The row of the fit's explained variance on data it has not seen."""
    whole = [row for row in fit.numbers if str(row.get("subset") or "all") == "all"]
    rows = [row for row in whole if row.get("metric") == "r2"]
    return rows[0] if rows and rows[0].get("value") is not None else None


def strongest(fit: Fit) -> list[str]:
    """Up to three features whose importance is clearly above zero."""
    if "importance" not in fit.tables:
        return []
    rows: list[dict[str, Any]] = fit.tables["importance"].to_pylist()
    clear = [
        row for row in rows if row["importance"] > 0 and (row.get("low") is None or row["low"] > 0)
    ]
    return [str(row["feature"]) for row in sorted(clear, key=lambda row: -row["importance"])[:3]]


def target_of(inputs: Inputs, fit: Fit) -> str:
    """What the fit predicts, by the plan."""
    taken = [e for s in inputs.plan.steps if s.id == fit.name for e in s.inputs.get("target", ())]
    return name(taken[0]) if taken else f"the target of {name(fit.name)}"


def explained(inputs: Inputs, fit: Fit) -> str:
    """What a fit explains of its target as a whole; nothing where it tells of none."""
    row = held_out(fit)
    if row is None:
        return ""
    if rival := _rival(fit):
        return _beside(fit, row, rival)
    interval = between(row.get("low"), row.get("high"))
    if is_chance(row):
        text = "On held-out prompts the features do not explain "
        text += f"{target_of(inputs, fit)} beyond chance"
        return f"{text} (R² {percent(row['value'])}, {interval})."
    share = strong(percent(row["value"]))
    text = f"On held-out prompts the features explain {share} of the variance of "
    text += target_of(inputs, fit)
    text += f" ({interval})." if interval else "."
    top = strongest(fit)
    if top:
        text += f" What carries it: {listed([strong(name(one)) for one in top])}."
    return text


def _rival(fit: Fit) -> Row | None:
    """The explained variance of a baseline that a fit was measured beside."""
    rows = [row for row in fit.numbers if row.get("kind") == "baseline"]
    same = [row for row in rows if row.get("metric") == "r2" and row.get("value") is not None]
    return same[0] if same else None


def _beside(fit: Fit, row: Row, rival: Row) -> str:
    """The explained variance beside the baseline's, and the first thing that the fit says."""
    interval = between(row.get("low"), row.get("high"))
    share = strong(percent(row["value"]))
    text = f"Held out, {name(fit.name)} explains {share} of the variance"
    text += f" ({interval}{': not beyond chance' * is_chance(row)})" if interval else ""
    text += f", {name(rival['model'])} {strong(percent(rival['value']))}."
    told = [str(one["sentence"]) for one in fit.numbers if one.get("sentence")]
    return " ".join([text, *told[:1]])


def explained_parts(inputs: Inputs) -> dict[str, str]:
    """By step, of which of several attributes anything is explained beyond chance."""
    rows = [row for row in valued(inputs.numbers, is_plain) if row["metric"] == "r2"]
    known = [row for row in rows if row.get("low") is not None and row.get("kind") != "baseline"]
    parts = [row for row in known if str(row.get("subset") or "") not in WHOLE]
    return {step: _of_parts(step, inside) for (step,), inside in by(parts, "step").items()}


def _of_parts(step: str, rows: Sequence[Row]) -> str:
    beyond = [row for row in rows if not is_chance(row)]
    chance = [str(row["subset"]) for row in rows if is_chance(row)]
    if not beyond:
        found = f"finds nothing beyond chance about {_names(chance)}"
        return f"Held out, {name(step)} {found}: no interval of R² lies above 0."
    values = [f"{percent(row['value'])} of {strong(name(row['subset']))}" for row in beyond]
    values[0] = values[0].replace(" of ", " of the variance of ", 1)
    left = len(values) - MOST_NAMES
    shown = values[:MOST_NAMES] + [f"something of {count(left, 'more attribute')}"] * (left > 0)
    text = f"Held out, {name(step)} explains {listed(shown)}."
    return f"{text} Nothing beyond chance was found about {_names(chance)}." if chance else text


def _names(names: Sequence[str]) -> str:
    if len(names) > MOST_NAMES:
        return f"{len(names)} attributes"
    return listed([strong(name(one)) for one in names])
