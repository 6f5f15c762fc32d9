"""Figures of an audit: effects with their intervals, and how they grow with the dose."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmplug_report.figures._heat_maps import Matrix, colours_of, heat
from rmplug_report.figures._interval_dots import Dot, baseline_mark, dots, lines_of_text, room
from rmplug_report.figures._palette import LIGHT, colour_of
from rmplug_report.figures._panels import (
    LINE,
    MUTED,
    many_panels,
    one_panel,
    ticks,
    titled,
    zero_line,
)
from rmplug_report.figures._render import Drawing, Numbers
from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._paired import p_text
from rmplug_report.inputs._wording import count, label, number, signed

from ._rows import WHOLE
from ._words import UNIT, effect_parts
from .document import Effect

MOST_LINES, MOST_CURVES, MOST_CELLS = 60, 12, 24
LINE_HEIGHT = 25
COLUMNS = ("perturbation", "family", "dose", "intention", "effect", "95 % CI", "q", "power",
           "detectable", "length alone", "verdict", "n")  # fmt: skip


def shown_name(effect: Effect, dosed: bool) -> str:
    """Return the name of a perturbation, with its dose where it has several."""
    name = label(effect.perturbation, 48)
    return f"{name} × {effect.dose}" if dosed else name


def strongest_doses(effects: Sequence[Effect]) -> list[Effect]:
    """Return each perturbation at its highest dose, over the whole of the data, in order."""
    last: dict[tuple[str, str], Effect] = {}
    for one in effects:
        key = (one.model, one.perturbation)
        if one.subset == WHOLE and (key not in last or one.dose > last[key].dose):
            last[key] = one
    return list(last.values())


def doses_of(effects: Sequence[Effect]) -> dict[tuple[str, str], list[Effect]]:
    """Return the effects of each perturbation on each model, from the lowest to the highest dose,
    where it has several."""
    found: dict[tuple[str, str], list[Effect]] = {}
    for one in effects:
        if one.subset == WHOLE:
            found.setdefault((one.perturbation, one.model), []).append(one)
    return {
        key: sorted(inside, key=lambda one: one.dose)
        for key, inside in found.items()
        if len({one.dose for one in inside}) > 1
    }


def _dot(effect: Effect) -> Dot:
    colours = {"exploited": "bad", "sensitive": "m5", "not punished": "bad", "as intended": "good"}
    colour = LIGHT[colours[effect.verdict]] if effect.verdict in colours else MUTED
    hollow = effect.verdict not in ("exploited", "sensitive", "as intended")
    return Dot(effect.value or 0.0, effect.low, effect.high, colour, hollow)


def effects_figure(
    file: str, title: str, effects: Sequence[Effect], every: Sequence[Effect]
) -> Drawing:
    """Draw the effect of each perturbation on one model, families together; ``every`` are the
    effects of its numbers, at all doses and in all subsets."""
    shown = effects[:MOST_LINES]
    several = {one.perturbation for one in every if one.dose > 1}
    names = [shown_name(one, one.perturbation in several) for one in shown]
    at = [-float(i) for i in range(len(shown))]
    first = {one.theme: one for one in reversed(shown)}

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        height = 52 + LINE_HEIGHT * len(shown)
        wide = width > 500
        figure, ax = one_panel(width, height, left, right=110 if wide else 20, top=6, bottom=44)
        for y, one, after in zip(at, shown, [*shown[1:], None], strict=True):
            if one.length_alone is not None:
                baseline_mark(ax, y, {"value": one.length_alone})
            if after is not None and after.theme != one.theme:
                ax.axhline(y - 0.5, color=LINE, linewidth=0.8)
            if wide and one is first[one.theme]:
                ax.text(1.02, y, label(one.theme, 15), transform=ax.get_yaxis_transform(),
                        va="center", color=MUTED, fontsize=11)  # fmt: skip
        dots(ax, at, [_dot(one) for one in shown])
        lines_of_text(ax, at, names, letters)
        ax.set_ylim(0.4 - len(shown), 0.6)
        zero_line(ax)
        ax.xaxis.set_major_locator(ticks(6 if wide else 4))
        ax.set_xlabel(f"change of the reward, {UNIT}")
        return figure

    note = "Each change at its highest dose, with its 95 % CI."
    if any(one.length_alone is not None for one in shown):
        note += " Upright marks: what the change in length alone would give."
    left_out = len(effects) - len(shown)
    note += f" {count(left_out, 'more')} only in the numbers." * bool(left_out)
    spoken = "; ".join(f"{n} {signed(one.value or 0.0, False)}, {one.verdict}"
                       for n, one in list(zip(names, shown, strict=True))[:10])  # fmt: skip
    numbers = Numbers(COLUMNS, [_line(one) for one in every if one.subset == WHOLE])
    return Drawing(file, title, note, f"{title}: {spoken}", draw, numbers, width=760)


def _line(one: Effect) -> tuple[object, ...]:
    return (
        one.perturbation, one.theme, one.dose, one.intention, *effect_parts(one),
        "–" if one.q is None else p_text(one.q),
        "–" if one.power is None else f"{one.power:.0%}".replace("%", " %"),
        number(one.detectable), number(one.length_alone), one.verdict, one.n,
    )  # fmt: skip


def dose_figure(inputs: Inputs, doses: dict[tuple[str, str], list[Effect]]) -> Drawing:
    """Draw a panel for each perturbation that has several doses, a line for each model."""
    panels: dict[str, dict[str, list[Effect]]] = {}
    for (perturbation, model), inside in doses.items():
        panels.setdefault(perturbation, {})[model] = inside
    ordered = sorted(panels.items(), key=lambda one: -_size(one[1]))
    shown = ordered[:MOST_CURVES]

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(shown), height=190, left=44, bottom=44)
        for ax, (name, lines) in zip(axes, shown, strict=True):
            for model, inside in lines.items():
                _curve(ax, inside, colour_of(inputs, model))
            titled(ax, label(name, 28))
            ax.set_xticks(sorted({one.dose for inside in lines.values() for one in inside}))
            ax.set_xlabel("dose")
            ax.yaxis.set_major_locator(ticks(4))
            zero_line(ax, upright=False)
        return figure

    note = f"Effect in {UNIT}, by dose, with 95 % bands."
    left = len(ordered) - len(shown)
    note += f" The {count(left, 'weakest')} only in the numbers.".replace(
        "weakests", "weakest"
    ) * bool(left)
    body = [
        (one.perturbation, one.model, one.dose, *effect_parts(one), one.n)
        for inside in doses.values()
        for one in inside
    ]  # fmt: skip
    spoken = "; ".join(
        f"{label(name)}: " + ", ".join(effect_parts(one)[0] for one in next(iter(lines.values())))
        for name, lines in shown[:6]
    )
    return Drawing(
        "audit-doses", "Dose and effect", note, f"Effect by dose. {spoken}", draw,
        Numbers(("perturbation", "model", "dose", "effect", "95 % CI", "n"), body),
        width=900 if len(shown) > 2 else 620,
    )  # fmt: skip


def _size(lines: dict[str, list[Effect]]) -> float:
    return max(abs(one.value or 0.0) for inside in lines.values() for one in inside)


def _curve(ax: Axes, inside: Sequence[Effect], colour: str) -> None:
    x = [one.dose for one in inside]
    values = [one.value or 0.0 for one in inside]
    low = [one.value or 0.0 if one.low is None else one.low for one in inside]
    high = [one.value or 0.0 if one.high is None else one.high for one in inside]
    ax.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
    ax.plot(x, values, color=colour, linewidth=2.2, marker="o", markersize=4.5)


def matrix_figure(
    file: str,
    title: str,
    note: str,
    effects: Sequence[Effect],
    columns: Sequence[tuple[str, Effect]],
    heads: tuple[str, str],
) -> Drawing:
    """Draw effects as a matrix: a row for each of ``effects``, the cells of ``columns`` by their
    column and perturbation."""
    rows = list(dict.fromkeys(one.perturbation for one in effects))[:MOST_CELLS]
    cells = {
        (one.perturbation, column): one.model_dump()
        for column, one in columns
        if one.perturbation in rows
    }
    names = list(dict.fromkeys(column for column, _ in columns))
    matrix = Matrix(rows, names, cells, False, 0.0, *heads)
    return heat(file, title, f"{note} {colours_of(matrix)}", matrix)
