"""Findings about fits that claim no more than their intervals allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rmplug import Fit
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_names import baseline_name
from rmplug_report.inputs._row_forms import by, is_plain, valued
from rmplug_report.inputs._wording import count, decimal, interval, label, listed, percent, strong

WHOLE = ("", "all")
MOST_NAMES = 6
CHANCE = {"r2": 0.0, "spearman": 0.0, "auc": 0.5}
"""Value of a held-out number where features carry no information."""


def beats_chance(row: Row | None) -> bool:
    """Check whether the interval of a held-out number lies above chance; without one, its value."""
    if row is None or row.get("value") is None:
        return False
    chance = CHANCE[str(row["metric"])]
    return bool(row["value"] > chance and (row.get("low") is None or row["low"] > chance))


def held_out(fit: Fit, metric: str) -> Row | None:
    """Return the row of a fit's held-out number over all rows."""
    rows = [
        row
        for row in fit.numbers
        if row.get("metric") == metric and str(row.get("subset") or "all") == "all"
        and row.get("kind") != "baseline" and row.get("value") is not None
    ]  # fmt: skip
    return rows[0] if rows else None


def is_chance(fit: Fit) -> bool:
    """Check whether a fit has held-out numbers, and none of them is better than chance."""
    rows = [row for metric in CHANCE if (row := held_out(fit, metric)) is not None]
    if rows:
        return not any(beats_chance(row) for row in rows)
    accuracy, majority = held_out(fit, "accuracy"), held_out(fit, "accuracy-of-majority")
    if accuracy is None or majority is None or accuracy.get("low") is None:
        return False
    return bool(accuracy["low"] <= majority["value"])


def is_positive_by_construction(fit: Fit) -> bool:
    """Check whether the importance of a fit is mean |SHAP|, above zero whatever the fit explains.

    The drop of held-out accuracy is then beside it, in ``permutation``.
    """
    return "importance" in fit.tables and "permutation" in fit.tables["importance"].column_names


def strongest(fit: Fit) -> list[str]:
    """Return up to three features with importance above zero that help on held-out data."""
    if "importance" not in fit.tables:
        return []
    rows: list[dict[str, Any]] = fit.tables["importance"].to_pylist()
    clear = [
        row
        for row in rows
        if row["importance"] > 0 and (row.get("low") is None or row["low"] > 0)
        and (not is_positive_by_construction(fit) or (row["permutation"] or 0) > 0)
    ]  # fmt: skip
    return [str(row["feature"]) for row in sorted(clear, key=lambda row: -row["importance"])[:3]]


def target_of(inputs: Inputs, fit: Fit) -> str:
    """Return the target of the fit, by the plan."""
    taken = [e for s in inputs.plan.steps if s.id == fit.name for e in s.inputs.get("target", ())]
    return label(taken[0]) if taken else f"the target of {label(fit.name)}"


def explained(inputs: Inputs, fit: Fit) -> str:
    """Describe how much of its target a fit explains; empty without explained variance."""
    row = held_out(fit, "r2")
    if row is None:
        return ""
    if rival := _rival(fit):
        return _with_rival(fit, row, rival)
    target, ranks = target_of(inputs, fit), held_out(fit, "spearman")
    size, order = _r2(row), _spearman(ranks)
    if beats_chance(row):
        text = f"On held-out prompts the features explain {strong(percent(row['value']))} of the "
        text += f"variance of {target} ({size})."
    elif beats_chance(ranks):
        text = f"On held-out prompts the features predict the {strong('ranks')} of {target} "
        text += f"({order}), but not its size ({size})."
    else:
        tested = "; ".join(one for one in (size, order) if one)
        return f"On held-out prompts the features do not predict {target} beyond chance ({tested})."
    top = strongest(fit)
    if top:
        text += f" Most important: {listed([strong(label(one)) for one in top])}."
    return text


def _r2(row: Row) -> str:
    bounds = interval(row.get("low"), row.get("high"))
    return f"R² {percent(row['value'])}" + (f", {bounds}" if bounds else "")


def _spearman(row: Row | None) -> str:
    if row is None:
        return ""
    bounds = interval(row.get("low"), row.get("high"), 1)
    return f"Spearman {decimal(row['value'], 2)}" + (f", {bounds}" if bounds else "")


def _rival(fit: Fit) -> Row | None:
    """Return the explained variance of a baseline that a fit was measured with."""
    rows = [row for row in fit.numbers if row.get("kind") == "baseline"]
    same = [row for row in rows if row.get("metric") == "r2" and row.get("value") is not None]
    return same[0] if same else None


def _with_rival(fit: Fit, row: Row, rival: Row) -> str:
    """Describe the explained variance and the baseline's, with the fit's first sentence."""
    text = f"On held-out rows {label(fit.name)} explains {strong(percent(row['value']))} of the "
    text += f"variance ({_r2(row)}{'' if beats_chance(row) else ': not beyond chance'}); "
    text += f"{baseline_name(label(rival['model']))} {strong(percent(rival['value']))}."
    own_sentences = [str(one["sentence"]) for one in fit.numbers if one.get("sentence")]
    return " ".join([text, *own_sentences[:1]])


def explained_parts(inputs: Inputs) -> dict[str, str]:
    """Describe, by step, the attributes whose size or ranks are predicted beyond chance."""
    rows = [
        row
        for row in valued(inputs.numbers, is_plain)
        if row["metric"] in ("r2", "spearman") and row.get("low") is not None
        and row.get("kind") != "baseline" and str(row.get("subset") or "") not in WHOLE
    ]  # fmt: skip
    steps = by(rows, "step")
    texts = {step: _of_parts(step, inside) for (step,), inside in steps.items()}
    return {step: text for step, text in texts.items() if text}


def _of_parts(step: str, rows: Sequence[Row]) -> str:
    r2 = {str(row["subset"]): row for row in rows if row["metric"] == "r2"}
    ranks = {str(row["subset"]): row for row in rows if row["metric"] == "spearman"}
    if not r2:
        return ""
    size = [one for one, row in r2.items() if beats_chance(row)]
    order = [one for one in r2 if one not in size and beats_chance(ranks.get(one))]
    chance = [one for one in r2 if one not in (*size, *order)]
    texts = [_explained(step, [r2[one] for one in size])] if size else []
    if order:
        texts.append(f"Only the ranks, not the size, are predicted of {_names(order)}.")
    if chance and texts:
        texts.append(f"Nothing is predicted beyond chance of {_names(chance)}.")
    if not texts:
        return f"On held-out rows {label(step)} predicts nothing beyond chance of {_names(chance)}."
    return " ".join(texts)


def _explained(step: str, rows: Sequence[Row]) -> str:
    values = [f"{percent(row['value'])} of {strong(label(row['subset']))}" for row in rows]
    values[0] = values[0].replace(" of ", " of the variance of ", 1)
    left = len(values) - MOST_NAMES
    shown = values[:MOST_NAMES] + [f"something of {count(left, 'more attribute')}"] * (left > 0)
    return f"On held-out rows {label(step)} explains {listed(shown)}."


def _names(names: Sequence[str]) -> str:
    if len(names) > MOST_NAMES:
        return f"{len(names)} attributes"
    return listed([strong(label(one)) for one in names])
