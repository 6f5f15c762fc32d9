"""The sections of the page of an audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rmplug_report.figures import _differences
from rmplug_report.figures._render import Numbers
from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._wording import (
    count,
    label,
    number,
)
from rmplug_report.sections._section import Section, Side, Table, TextComparison

from ._diff import plain_text, shown_sides, word_diff
from ._figures import dose_figure, doses_of, effects_figure, matrix_figure, strongest_doses
from ._rows import WHOLE
from ._tables import exploit_table, grade_table, measure_tables, repair_table
from ._words import UNIT, effect_text, main_repairs
from .document import Audit, Effect, Example

MOST_MODELS = 4
MOST_CHANGES = 30


def grade_board(audit: Audit) -> Table | None:
    """Return the table of grades: a line for each family, a column for each model."""
    models = _models(audit)
    if not audit.grades:
        return None
    if len(models) == 1:
        return grade_table("Grades", audit.grades)
    of = {(one.theme, one.model): one.grade for one in audit.grades}
    rows = [(theme, *(of.get((theme, model), "–") for model in models)) for theme in _themes(audit)]
    return Table("Grades", Numbers(("family", *models), rows), badges=models)


def _models(audit: Audit) -> list[str]:
    return list(
        dict.fromkeys([one.model for one in audit.grades] + [e.model for e in audit.effects])
    )


def _themes(audit: Audit) -> list[str]:
    return list(dict.fromkeys(one.theme for one in audit.grades))


def sections_of(audit: Audit, inputs: Inputs) -> list[Section]:
    """Return the sections for which there is something to show, in their order."""
    made = (
        _graded(audit),
        _effects(audit),
        _examples(audit),
        _doses(audit, inputs),
        _by_subset(audit),
        _preferences(audit),
        _search(audit),
        _transfer(audit),
        _repaired(audit),
        _not_looked_at(audit),
    )
    return [one for one in made if one is not None]


def _graded(audit: Audit) -> Section | None:
    if not audit.grades:
        return None
    lead = (
        "A family's grade is that of its strongest change in the exploited direction: a rise of "
        "the reward by a change that keeps the quality or worsens it, a fall by one that improves "
        f"it. In {UNIT} of the model's own reward; the interval allows for choosing the strongest. "
        "↑ raises the reward, ↓ lowers it. Sensitive to: what lowers the reward although it keeps "
        "the quality; nobody gains a reward by it, so that it does not count for the grade."
    )
    rule = Table(
        "The grades",
        Numbers(
            ("grade", "effect, 95 % CI", "in words"),
            [(one.grade, one.rule, one.meaning) for one in audit.thresholds],
        ),
        badges=("grade",),
    )
    tables = []
    models = _models(audit)
    for model in models if len(models) > 1 else []:
        own = [one for one in audit.grades if one.model == model]
        tables.append(grade_table(f"Grades of {model}", own))
    return Section("grades", "Grades", [lead], tables=[*tables, rule])


READ = (
    f"The mean change of the reward from a response to its changed copy, in {UNIT}. Filled red: "
    "exploited, the reward moves against the intention of the change. Filled ochre: sensitive, the "
    "reward falls although the quality is kept. Hollow red: a change for the worse that the reward "
    "does not punish. Filled green: it moves as intended. Hollow grey: no effect found, or too "
    "little power to tell."
)


def _effects(audit: Audit) -> Section | None:
    drawings = []
    models = _models(audit)
    for index, model in enumerate(models[:MOST_MODELS]):
        every = [one for one in audit.effects if one.model == model]
        themes = [one.theme for one in audit.grades if one.model == model]
        shown = sorted(strongest_doses(every), key=lambda one: _place(one, themes))
        if shown:
            title = f"Effects on {label(model)}" if len(models) > 1 else "Effects"
            drawings.append(effects_figure(f"audit-effects-{index + 1}", title, shown, every))
    if not drawings:
        return None
    left = len(models) - MOST_MODELS
    lead = [READ] + ([f"{count(left, 'more model')} only in audit.json."] if left > 0 else [])
    return Section("effects", "Effect of each change", lead, drawings=drawings)


def _place(effect: Effect, themes: Sequence[str]) -> tuple[int, str, float]:
    """Return a key that sorts families by grade, and the strongest first in each."""
    known = effect.theme in themes
    return (themes.index(effect.theme) if known else len(themes), effect.theme,
            -abs(effect.value or 0.0))  # fmt: skip


def _examples(audit: Audit) -> Section | None:
    if not audit.examples:
        return None
    lead = (
        "For each family the copy whose change of reward is the median over all copies; of bad "
        "responses where labels tell which these are. Red: only in the original; green: only in "
        "the copy."
    )
    shown = [_compared(one, len(_models(audit)) > 1) for one in audit.examples]
    return Section("examples", "Examples", [lead], comparisons=shown)


def _compared(one: Example, several: bool) -> TextComparison:
    before, after = shown_sides(word_diff(one.before, one.after))
    change = effect_text(one.reward_after - one.reward_before, 3)
    note = f"{_intended(one.intention)} The reward changes by {change}. Response {label(one.id)}."
    note += " Texts are cut." * one.cut
    title = one.perturbation + (f" × {one.dose}" if one.dose > 1 else "")
    title += f" ({one.theme})" * (one.theme != one.perturbation)
    return TextComparison(
        f"{title}, on {one.model}" if several else title,
        note,
        plain_text(one.prompt[-600:]),
        Side("Original", f"reward {number(one.reward_before)}", before),
        Side("Changed copy", f"reward {number(one.reward_after)}", after),
    )


def _intended(intention: str) -> str:
    words = {"keeps": "Meant to keep the quality.", "worsens": "Meant to worsen the response.",
             "improves": "Meant to improve the response."}  # fmt: skip
    return words.get(intention, "")


def _doses(audit: Audit, inputs: Inputs) -> Section | None:
    doses = doses_of(audit.effects)
    if not doses:
        return None
    models = _models(audit)
    legend = [] if len(models) < 2 else [(label(m), f"m{inputs.number(m) % 8 + 1}") for m in models]
    return Section("doses", "Dose and effect", drawings=[dose_figure(inputs, doses)], legend=legend)


def _by_subset(audit: Audit) -> Section | None:
    drawings = []
    for index, model in enumerate(_models(audit)[:MOST_MODELS]):
        own = [one for one in audit.effects if one.model == model]
        last = {one.perturbation: one.dose for one in strongest_doses(own)}
        parts = [
            one for one in own if one.subset != WHOLE and last.get(one.perturbation) == one.dose
        ]
        shown = [
            one for one in strongest_doses(own) if one.verdict in ("exploited", "not punished")
        ]
        shown.sort(key=lambda one: -abs(one.value or 0.0))
        kept = {one.perturbation for one in shown}
        cells = [(one.subset, one) for one in parts if one.perturbation in kept]
        if len({name for name, _ in cells}) > 1:
            note = f"Effect of each exploited change in each part of the data, {UNIT}."
            drawings.append(matrix_figure(
                f"audit-subsets-{index + 1}", f"Effects on {label(model)} by subset", note, shown,
                cells, ("change", "subset"),
            ))  # fmt: skip
    return Section("subsets", "By subset", drawings=drawings) if drawings else None


def _preferences(audit: Audit) -> Section | None:
    """Return the section of the other numbers: preferences that turn, accuracy, slopes."""
    if not audit.measures:
        return None
    return Section("preferences", "Preferences and accuracy",
                   tables=measure_tables(audit.measures))  # fmt: skip


def _search(audit: Audit) -> Section | None:
    if not audit.exploits:
        return None
    lead = (
        "What raises the reward of bad responses, found by a search; measured on prompts that the "
        "search did not use. Wins: how often the changed response beats the good one. In search: "
        "the effect on the prompts of the search, which favours it. An interval allows for the "
        "error of the unit, too, and may reach below 0 where that the reward rises is confirmed."
    )
    edits = [f"{one.name}: {one.steps}." for one in audit.exploits]
    return Section("search", "Found by search", [lead], notes=edits,
                   tables=[exploit_table(audit.exploits)])  # fmt: skip


def _transfer(audit: Audit) -> Section | None:
    shown = strongest_doses(audit.effects)
    bad = {one.perturbation for one in shown if one.verdict == "exploited" or one.theme == "found"}
    tried = Counter(one.perturbation for one in shown)
    rows = [one for one in shown if one.perturbation in bad and tried[one.perturbation] > 1]
    if not rows:
        return None
    rows.sort(key=lambda one: (one.theme != "found", -abs(one.value or 0.0)))
    note = f"Effect of what exploits one model on each model, each in its own {UNIT}."
    drawing = matrix_figure("audit-transfer", "Transfer of exploits", note, rows,
                            [(one.model, one) for one in rows], ("change", "model"))  # fmt: skip
    return Section("transfer", "Transfer to other models", drawings=[drawing])


def _repaired(audit: Audit) -> Section | None:
    if not audit.repairs:
        return None
    parts = []
    for index, step in enumerate(dict.fromkeys(one.step for one in audit.repairs)):
        own = [one for one in audit.repairs if one.step == step]
        names = f"{label(own[0].other)} and {label(own[0].model)}"
        main = main_repairs(own)
        rest = [one for one in own if one not in main]
        several = {one.perturbation for one in own if (one.dose or 1) > 1}
        pairs = [
            (one.perturbation + (f" × {one.dose}" if one.perturbation in several else ""),
             one.before.model_dump(), one.after.model_dump())
            for one in main[:MOST_CHANGES]
            if one.before and one.after and None not in (one.before.value, one.after.value)
        ]  # fmt: skip
        drawings = [_differences.changes(f"audit-repair-{index + 1}",
                                         f"Effects on {names}", pairs)
                    ] if pairs else []  # fmt: skip
        tables = [repair_table(f"Effects on {names}: targeted, or worse after", main)] * bool(main)
        tables += [repair_table(f"Other effects on {names}", rest, folded=True)] * bool(rest)
        tables += measure_tables([one for one in audit.repair_measures if one.model == step])
        parts.append(Section(f"repair-{index + 1}", label(step), drawings=drawings, tables=tables))
    lead = f"Effects in {UNIT}, each in that of its own model; differences are paired."
    return Section("repair", "Repair", [lead], parts=parts)


def _not_looked_at(audit: Audit) -> Section:
    return Section("missing", "What was not looked at", notes=list(audit.not_looked_at))
