"""Findings about what hidden states know, and what that does to a reward."""

from __future__ import annotations

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_names import metric_title
from rmplug_report.inputs._places import (
    REMOVED,
    Known,
    are_layers,
    at_place,
    effects,
    is_chance_for,
    knowledge,
    named,
    place_name,
)
from rmplug_report.inputs._wording import amount, interval, label, strong

from ._finding import Finding


def directions_findings(inputs: Inputs) -> list[Finding]:
    """Return the sentence about the first target."""
    return [Finding("States", text) for text in what_places_know(inputs)[:1]]


def what_places_know(inputs: Inputs) -> list[str]:
    """Say of each target where it is known best, and what taking it out there does."""
    return [_sentence(inputs, one) for one in knowledge(inputs)]


def _sentence(inputs: Inputs, one: Known) -> str:
    best = max(one.probe, key=lambda row: float(row["value"]))
    over, shuffled = (at_place(rows, best["place"]) for rows in (one.over, one.shuffled))
    share = one.metric == "accuracy"
    name = metric_title(one.metric) if share else "R²"
    tested = f"held-out {name} {_with_bounds(best, share)}"
    if shuffled is not None:
        tested += f"; with shuffled labels {amount(shuffled['value'], share)}"
    majority = at_place(one.majority, best["place"])
    if majority is not None:
        tested += f"; the most frequent class {amount(majority['value'], share)}"
    count = len(one.probe)
    where = _where(best, one)
    chosen = f", the best of {count}," if count > 1 else ""
    target = strong(label(one.target))
    if not _is_known(best, over, majority):
        none = f"None of {count} places knows" if count > 1 else f"{where} does not know"
        return f"{none} {target} beyond chance ({tested})."
    return f"{where}{chosen} knows {target} ({tested}){_effect(inputs, one.target, best)}."


def _is_known(best: Row, over: Row | None, majority: Row | None) -> bool:
    """Check that a probe is better than shuffled labels, and than the mean or the majority."""
    floor = 0.0 if majority is None else float(majority["value"])
    if over is None or over.get("low") is None or best.get("low") is None:
        return False
    return bool(best["low"] > floor and over["low"] > 0)


def _where(best: Row, one: Known) -> str:
    name = place_name(best, one.probe)
    return f"Layer {name}" if are_layers(one.probe) else name


def _with_bounds(row: Row, share: bool) -> str:
    bounds = interval(row.get("low"), row.get("high"), 100 if share else 1)
    return strong(amount(row["value"], share)) + (f", {bounds}" if bounds else "")


def _effect(inputs: Inputs, target: str, best: Row) -> str:
    """Say by how much rewards change without the direction there, beside a random one."""
    rows = [row for row in effects(inputs) if row["place"] == best["place"]]
    removed = named(rows, REMOVED)
    own = next((row for row in removed if row["subset"] == target), None)
    if own is None:
        return ""
    random = next((row for row in removed if is_chance_for(row, own)), None)
    told = [interval(own.get("low"), own.get("high"), 1)]
    if random:
        one = label(random["subset"])
        what = one if one[:1].isdigit() else f"a {one}"
        told.append(f"{what}: {amount(random['value'], False)}")
    aside = "; ".join(one for one in told if one)
    return (
        f", and taking it out changes the reward by {strong(amount(own['value'], False))} "
        "deviations within prompts" + (f" ({aside})" if aside else "")
    )
