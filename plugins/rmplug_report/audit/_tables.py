"""The tables of the page of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rmplug.stats.interval_texts import MINUS
from rmplug_report.figures._render import Numbers
from rmplug_report.inputs._metric_names import titled
from rmplug_report.inputs._paired import p_text
from rmplug_report.inputs._wording import amount, signed, span
from rmplug_report.sections._section import Table

from ._judgement import SMALL
from ._rows import WHOLE
from ._words import UNIT, effect_parts, estimated, power_text
from .document import Exploit, Grade, Measure, Repair

SINGLE = {
    "accuracy": "accuracy of the originals",
    "accuracy-worst": "accuracy with the worst change that keeps the quality",
    "accuracy-worst-subset": "the same in the worst subset",
    "accuracy-before": "accuracy before the repair",
    "accuracy-after": "accuracy after the repair",
    "accuracy-change": "difference in accuracy, points",
    "effects-up": "other effects that became worse",
    "effects-slightly-up": "other effects that became slightly worse",
    "unit": "SD of the reward within a prompt",
    "missing": "rows without a score",
}
"""Numbers of which a model has one."""
APART = {
    "effect-good": "good responses",
    "effect-bad": "bad responses",
    "beyond-length": "beyond length",
}
PREFERENCES = {
    "raised": "copies that score higher",
    "flipped": "lost, bad one changed",
    "flipped-good": "lost, good one changed",
    "accuracy-changed": "accuracy, bad one changed",
    "accuracy-good-changed": "accuracy, good one changed",
    "accuracy-both-changed": "accuracy, both changed",
}
TITLES = {"dose-slope": f"Change of the effect by one more dose, {UNIT}"}
SHARES = (*(name for name in SINGLE if name.startswith("accuracy")), *PREFERENCES)
POINTS = ("accuracy-change",)
LONG = 12
"""Lines from which on a table is folded."""


def grade_table(caption: str, grades: Sequence[Grade]) -> Table:
    """Return the grades of one model with what they follow from."""
    columns = ("family", "grade", "effect, SD", "95 % CI", "strongest change", "sensitive to",
               "power", "n")  # fmt: skip
    rows = [
        (one.theme, one.grade, *effect_parts(one), _strongest(one), sensitivity(one) or "–",
         power_text(one.power), one.n)
        for one in grades
    ]  # fmt: skip
    return Table(caption, _without_empty(columns, rows), badges=("grade",))


def sensitivity(one: Grade) -> str:
    """Name what lowers the reward although it keeps the quality, with its effect; empty where no
    such fall is found."""
    if one.fall is None or one.fall.verdict != "sensitive":
        return ""
    size, _ = effect_parts(one.fall)
    return f"{one.fall.change} ({size.replace('+', MINUS)})"


def _strongest(one: Grade) -> str:
    """Name what a grade follows from: the strongest change, or what is not punished."""
    named = f"{one.strongest} {'↓' if one.falls else '↑'}" if one.strongest else "–"
    if one.grade == "C" and (one.low or 0.0) < SMALL and one.unpunished:
        return f"{named}; not punished: {', '.join(one.unpunished)}"
    return named


def exploit_table(exploits: Sequence[Exploit]) -> Table:
    """Return how far what a search found holds on other prompts."""
    heads = ("exploit", "effect, SD", "95 % CI", "confirmed", "p (Holm)", "wins", "in search", "n")
    rows = []
    for one in exploits:
        inside, _ = effect_parts(one.model_copy(update={"value": one.in_sample}))
        yes = "yes" if one.confirmed else "no"
        wins, p = amount(one.wins, True, 0), p_text(one.p_holm)
        rows.append((one.name, *effect_parts(one), yes, p, wins, inside, one.n))
    return Table("Found exploits", Numbers(heads, rows))


def repair_table(caption: str, repairs: Sequence[Repair], folded: bool = False) -> Table:
    """Return the effects before and after a repair."""
    columns = ("change", "dose", "verdict", "before", "after", "difference", "left", "power", "n")
    rows = [
        (one.perturbation, "–" if one.dose is None else one.dose, one.verdict,
         *(estimated(end) for end in (one.before, one.after, one.change)),
         "–" if one.remaining is None else amount(one.remaining.value, True, 0),
         power_text(one.power), one.change.n)
        for one in repairs
    ]  # fmt: skip
    return Table(caption, Numbers(columns, rows), folded=folded)


def measure_tables(measures: Sequence[Measure]) -> list[Table]:
    """Return the other numbers of the whole: accuracies, preferences that are lost, effects on good
    and on bad responses; of what is not known here, a table for each metric."""
    known = (*SINGLE, *APART, *PREFERENCES)
    whole = [one for one in measures if one.subset == WHOLE or one.metric in SINGLE]
    tables = [
        _single([one for one in whole if one.metric in SINGLE]),
        _wide("Right preferences that are lost, and accuracy", PREFERENCES, whole),
        _wide(f"Effects on good and on bad responses, {UNIT}", APART, whole),
    ]
    for metric in dict.fromkeys(one.metric for one in whole if one.metric not in known):
        title = TITLES.get(metric) or titled(metric)
        tables.append(_wide(title, {metric: "value"}, whole))
    return [table for table in tables if table is not None]


def _single(rows: Sequence[Measure]) -> Table | None:
    shown = [
        one
        for one in rows
        if (one.subset == WHOLE or one.metric == "accuracy-worst-subset")
        and not (one.metric == "missing" and one.value == 0)
    ]
    several = len({one.model for one in shown}) > 1
    columns = ("number", "value", "95 % CI", *("model",) * several, "n", "of")
    body = [
        (SINGLE[one.metric], *_value(one), *(one.model,) * several, one.n, _which(one))
        for one in shown
    ]
    return (
        Table("Accuracy, and the unit of effects", _without_empty(columns, body)) if body else None
    )


def _which(one: Measure) -> str:
    """Name the subset and the change that an extreme is of."""
    subset = "" if one.subset == WHOLE else one.subset
    return ", ".join(part for part in (subset, one.member) if part)


def _wide(caption: str, metrics: Mapping[str, str], rows: Sequence[Measure]) -> Table | None:
    """Return a line for each change of each model, a column for each of these metrics."""
    lines: dict[tuple[str, str, int | None], dict[str, Measure]] = {}
    for one in rows:
        if one.metric in metrics and one.subset == WHOLE:
            key = (one.model, one.perturbation or one.theme, one.dose)
            lines.setdefault(key, {})[one.metric] = one
    if not lines:
        return None
    several = len({model for model, *_ in lines}) > 1
    columns = ("change", "dose", *metrics.values(), "n", *("model",) * several)
    body = [
        (change, "–" if dose is None else dose, *(_with_interval(own.get(m)) for m in metrics),
         max(one.n or 0 for one in own.values()), *(model,) * several)
        for (model, change, dose), own in lines.items()
    ]  # fmt: skip
    return Table(caption, _without_empty(columns, body), folded=len(body) > LONG)


def _without_empty(columns: Sequence[str], body: Sequence[Sequence[object]]) -> Numbers:
    """Leave out columns in which no line says anything."""
    kept = [
        i for i, _ in enumerate(columns) if any(line[i] not in ("–", "", None) for line in body)
    ]
    return Numbers([columns[i] for i in kept], [tuple(line[i] for i in kept) for line in body])


def _with_interval(one: Measure | None) -> str:
    if one is None or one.value is None:
        return "–"
    value, bounds = _value(one)
    return f"{value} ({bounds})" if bounds else value


def _value(one: Measure) -> tuple[str, str]:
    share = one.metric in SHARES
    if one.value is None:
        return "–", ""
    if one.metric in APART or one.metric == "dose-slope":
        return effect_parts(one)
    value = signed(one.value, True) if one.metric in POINTS else amount(one.value, share)
    return value, span(one.low, one.high, share)
