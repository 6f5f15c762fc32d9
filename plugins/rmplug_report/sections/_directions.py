"""The section of probes, and of what their directions do to rewards."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug_report.figures._by_layer import Panel, Series, by_layer
from rmplug_report.figures._render import Drawing, Numbers
from rmplug_report.findings._directions import what_places_know
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import titled
from rmplug_report.inputs._places import REMOVED, Known, effects, is_chance_for, knowledge, named
from rmplug_report.inputs._row_forms import distinct
from rmplug_report.inputs._wording import amount, label, left_out, span

from ._section import Section, Table

MOST = 8
COSINE = "cosine"


def directions(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of what places know, and of the effects of directions."""
    known, changed = knowledge(inputs), effects(inputs)
    if not known and not changed:
        return None
    drawings = [*_of_probes(known), *_of_effects(changed)]
    targets = {one.target for one in known} | set(_targets(changed))
    lead = [
        "What linear probes read from the states of each place on prompts that they have not seen, "
        "beside shuffled labels, and how the reward changes along a direction.",
        *left_out(len(targets) - MOST, "more target"),
    ]
    return Section("directions", "What the states know", lead, drawings=drawings,
                   tables=_cosines(changed), notes=what_places_know(inputs)[1:])  # fmt: skip


def _of_probes(known: Sequence[Known]) -> list[Drawing]:
    """Draw numbers and classes each in one figure, a panel for each target."""
    drawings = []
    for metric, title in (("r2", "Held-out R² of probes"), ("accuracy", "Accuracy of probes")):
        shown = [one for one in known if one.metric == metric][:MOST]
        if not shown:
            continue
        note = "Filled: probe. Hollow, dashed: with shuffled labels."
        note += " Crosses: the most frequent class." * (metric == "accuracy")
        panels = [Panel(_name(one, known), _series(one)) for one in shown]
        share = metric == "accuracy"
        drawings.append(by_layer(f"probes-{metric}", title, note, panels, share))
    return drawings


def _name(one: Known, known: Sequence[Known]) -> str:
    steps = {other.step for other in known}
    return one.target if len(steps) == 1 else f"{one.target} ({one.step})"


def _series(one: Known) -> list[Series]:
    lines = [Series("probe", one.probe), Series("shuffled labels", one.shuffled, hollow=True)]
    majority = Series("the most frequent class", one.majority, "x", hollow=True)
    return [*lines, *([majority] if one.majority else [])]


def _targets(changed: Sequence[Row]) -> list[str]:
    return distinct([row for row in changed if row.get("kind") != "baseline"], "subset")


def _of_effects(changed: Sequence[Row]) -> list[Drawing]:
    """Draw the change of rewards when a direction is taken out, and when it is added."""
    removed, added = [], []
    random = [row for row in changed if row.get("kind") == "baseline"]
    for target in _targets(changed)[:MOST]:
        rows = [row for row in changed if row["subset"] == target]
        beside = [row for row in random if is_chance_for(row, rows[0])]
        lines = [Series("taken out", named(rows, REMOVED)),
                 Series("random directions", named(beside, REMOVED), hollow=True)]  # fmt: skip
        if lines[0].rows:
            removed.append(Panel(target, lines))
        plus, minus = (named(rows, f"reward-change-{sign}") for sign in ("plus", "minus"))
        if plus and minus:
            added.append(Panel(target, [Series("one deviation more", plus, "^"),
                                        Series("one deviation less", minus, "v")]))  # fmt: skip
    unit = "In deviations of the reward within prompts."
    notes = (
        f"{unit} Filled: the direction. Hollow, dashed: random directions.",
        f"{unit} Triangle up: one standard deviation more of it, down: less.",
    )
    titles = ("Size of the reward's change without the direction",
              "Change of the reward with more or less of the direction")  # fmt: skip
    return [
        by_layer(f"direction-effects-{n}", title, note, panels, False)
        for n, (title, note, panels) in enumerate(zip(titles, notes, (removed, added), strict=True))
        if panels
    ]


def _cosines(changed: Sequence[Row]) -> list[Table]:
    """Return the table of the cosines with the reward head's weights, and other numbers."""
    body = [
        (titled(str(row["metric"])), label(row["subset"]), label(row["place"]),
         amount(row["value"], row["metric"] != COSINE), span(row["low"], row["high"],
         row["metric"] != COSINE), row["n"])
        for metric in (COSINE, "preference-changed")
        for row in named(changed, metric)
    ]  # fmt: skip
    if not body:
        return []
    caption = "Cosine of the reward head's weights and a direction; pairs whose order changes"
    columns = ("number", "direction", "place", "value", "95 % CI", "n")
    return [Table(caption, Numbers(columns, body), folded=len(body) > 12)]
