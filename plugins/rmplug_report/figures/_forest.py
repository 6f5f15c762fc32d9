"""Figures of differences, ranks, changes, and errors: a dot with its interval on each line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_levels import distinct
from rmplug_report.inputs._metric_names import in_percent, metric_title
from rmplug_report.inputs._wording import amount, name, number, signed, span

from ._distributions import colour_of
from ._palette import LIGHT
from ._panels import CARD, INK, LINE, MUTED, one_panel, ticks, zero_line
from ._render import HALF, Drawing, Numbers
from ._whiskers import PERCENT, Dot, dots, lines_of_text, room

MOST_LINES = 30
LINE_HEIGHT = 46
MARKS: Sequence[tuple[Any, str]] = (
    ("solid", "solid"),
    ((0, (1, 1)), "dotted"),
    ((0, (3, 1)), "dashed"),
)
"""How the marks of baselines are told apart, and the word for it."""
CHANCE = 0.05
DIFFERENCES = (
    "Each line is the first minus the second, with its 95 % interval. Filled: told apart (p after "
    "Holm’s correction below 0.05; without a p, an interval without 0). Hollow: not told apart."
)


def is_clear(row: Row) -> bool:
    """Whether a difference can be told from none: by Holm's p, else by its interval."""
    if row.get("p_holm") is not None:
        return bool(row["p_holm"] < CHANCE)
    return row.get("low") is not None and (row["low"] > 0 or row["high"] < 0)


def differences(file: str, title: str, metric: str, rows: Sequence[Row], share: bool) -> Drawing:
    """Differences of two with the zero line: the largest first, those of several parts in order."""
    parted = len(distinct(rows, "subset")) > 1
    ordered = list(rows) if parted else sorted(rows, key=lambda row: -abs(row["value"]))
    shown = ordered[:MOST_LINES]
    at = [-float(i) for i in range(len(shown))]

    def draw(width: int) -> Figure:
        figure, ax = one_panel(width, 54 + LINE_HEIGHT * len(shown), 14, right=74, bottom=42)
        for y, row in zip(at, shown, strict=True):
            dots(ax, [y - 0.14], [_difference(row)])
            _difference_texts(ax, y, row, _two(row, parted), share, 11.5 if width > 500 else 10)
        ax.set_ylim(-len(shown) + 0.4, 0.6)
        ax.set_yticks([])
        _difference_axis(ax, metric, share)
        return figure

    left_out = len(ordered) - len(shown)
    told = "; ".join(
        f"{row['model']} minus {row['other']} {signed(row['value'], share)}" for row in shown[:6]
    )
    more = f" The {left_out} {'last' if parted else 'smallest'} are only in the numbers."
    numbers = _difference_numbers(ordered, share, parted)
    note = DIFFERENCES + more * bool(left_out)
    return Drawing(file, title, note, f"{title}: {told}", draw, numbers, wide=760)


def _two(row: Row, parted: bool) -> str:
    """Who is compared, and on which part where a figure has several."""
    subset, model, other = (str(row.get(key) or "") for key in ("subset", "model", "other"))
    first = name(model, 26)
    if parted:
        first = name(subset if subset.startswith(model) else f"{subset}: {model}", 34)
    return f"{first} − {name(other, 26)}"


def _difference_axis(ax: Axes, metric: str, share: bool) -> None:
    zero_line(ax)
    ax.xaxis.set_major_locator(ticks(5))
    if share:
        ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}".replace("-", "−"))
    said = f"difference in {metric_title(metric)}" if metric else "difference"
    ax.set_xlabel(said + (", percentage points" if share else ""))


def _difference_texts(ax: Axes, y: float, row: Row, two: str, share: bool, size: float) -> None:
    """Who is compared above the line, the difference and its p at the right."""
    across = ax.get_yaxis_transform()
    behind = {"facecolor": CARD, "edgecolor": "none", "pad": 1.5}
    ax.text(0, y + 0.3, two, transform=across, va="center", color=INK, fontsize=size,
            bbox=behind, zorder=5)  # fmt: skip
    weight = "bold" if is_clear(row) else "normal"
    ax.text(1.02, y - 0.14, signed(row["value"], share), transform=across, va="center",
            color=INK, weight=weight)  # fmt: skip
    if row.get("p_holm") is not None:
        ax.text(1.02, y + 0.3, f"p {chance(row['p_holm'])}", transform=across, va="center",
                color=MUTED, fontsize=size - 0.5)  # fmt: skip


def _difference(row: Row) -> Dot:
    clear = is_clear(row)
    colour = MUTED if not clear else LIGHT["m1"] if row["value"] > 0 else LIGHT["m2"]
    return Dot(row["value"], row.get("low"), row.get("high"), colour, hollow=not clear)


def _difference_numbers(rows: Sequence[Row], share: bool, parted: bool) -> Numbers:
    tests = [
        key for key in ("p", "p_holm", "p_mcnemar") if any(r.get(key) is not None for r in rows)
    ]
    heads = {"p": "p", "p_holm": "p (Holm)", "p_mcnemar": "p (McNemar)"}
    body = [
        (*(str(row["subset"]) for _ in range(parted)), str(row["model"]), str(row["other"]),
         signed(row["value"], share), span(row.get("low"), row.get("high"), share),
         *(chance(row.get(key)) for key in tests), row.get("n"))
        for row in rows
    ]  # fmt: skip
    told = "difference, points" if share else "difference"
    columns = (*("part",) * parted, "model", "minus", told, "95 % interval",
               *(heads[key] for key in tests), "n")  # fmt: skip
    return Numbers(columns, body)


def chance(p: Any) -> str:
    """A p-value."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def ranks(inputs: Inputs, file: str, title: str, rows: Sequence[Row]) -> Drawing:
    """The places that each model may take, best first."""
    shown = sorted(rows, key=lambda row: (row["value"], row.get("high") or 0))
    names = [str(row["model"]) for row in shown]
    at = [-float(i) for i in range(len(shown))]

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        figure, ax = one_panel(width, 56 + 30 * len(shown), left, right=22, top=8, bottom=40)
        dots(ax, at, [_dot(inputs, row) for row in shown])
        lines_of_text(ax, at, names, letters)
        last = max(len(shown), *(row.get("high") or row["value"] for row in shown))
        ax.set_xlim(0.6, last + 0.4)
        ax.set_ylim(-len(shown) + 0.4, 0.6)
        ax.xaxis.set_major_locator(ticks(min(8, int(last))))
        ax.set_xlabel("rank, 1 is best")
        return figure

    body = [
        (str(row["model"]), number(row["value"]), span(row.get("low"), row.get("high"), False))
        for row in shown
    ]
    told = "; ".join(f"{row['model']} {row['value']:g}" for row in shown)
    return Drawing(file, title, "The 95 % of places each one takes when prompts are resampled.",
                   f"{title}: {told}", draw, Numbers(("model", "rank", "95 % interval"), body),
                   wide=760 if len(shown) > 3 else HALF)  # fmt: skip


def _dot(inputs: Inputs, row: Row) -> Dot:
    rule = row.get("kind") == "baseline"
    colour = MUTED if rule else colour_of(inputs, str(row.get("model") or ""))
    return Dot(row["value"], row.get("low"), row.get("high"), colour, hollow=rule)


def changes(file: str, title: str, pairs: Sequence[tuple[str, Row, Row]]) -> Drawing:
    """Before and after, joined, each with its interval."""
    names = [label for label, _, _ in pairs]
    at = [-float(i) for i in range(len(pairs))]

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        figure, ax = one_panel(width, 44 + 34 * len(pairs), left, right=20, top=8, bottom=28)
        for y, (_, before, after) in zip(at, pairs, strict=True):
            ax.plot([before["value"], after["value"]], [y, y], color=LINE, linewidth=3, zorder=2)
            dots(ax, [y + 0.16, y - 0.16], [_end(before, False), _end(after, True)])
        lines_of_text(ax, at, names, letters)
        ax.set_ylim(-len(pairs) + 0.4, 0.6)
        if min(*ax.get_xlim()) < 0 < max(*ax.get_xlim()):
            zero_line(ax)
        ax.xaxis.set_major_locator(ticks(5))
        return figure

    told = "; ".join(
        f"{label} from {number(before['value'])} to {number(after['value'])}"
        for label, before, after in pairs[:8]
    )
    body = [
        (label, number(before["value"]), _span(before), number(after["value"]), _span(after),
         after.get("n"))
        for label, before, after in pairs
    ]  # fmt: skip
    return Drawing(
        file,
        title,
        "Hollow: before. Filled: after. Bars are 95 % intervals.",
        f"{title}: {told}",
        draw,
        Numbers(("part", "before", "95 % interval", "after", "95 % interval of after", "n"), body),
        wide=760,
    )  # fmt: skip


def _end(row: Row, after: bool) -> Dot:
    colour = LIGHT["m1"] if after else MUTED
    return Dot(row["value"], row.get("low"), row.get("high"), colour, hollow=not after)


def _span(row: Row) -> str:
    return span(row.get("low"), row.get("high"), False)


def parts(inputs: Inputs, file: str, title: str, rows: Sequence[Row]) -> Drawing:
    """One number of many parts, such as the error of each attribute; baselines as marks."""
    ruled = distinct([row for row in rows if row.get("kind") == "baseline"], "model")
    share = in_percent(str(rows[0]["metric"]), rows)
    subsets = distinct(rows, "subset")[: MOST_LINES + 10]
    several = max(sum(row["subset"] == subset for row in rows) for subset in subsets)
    height = max(27, 12 * several + 12)
    shown = ["the whole" if subset == "all" else subset for subset in subsets]

    def draw(width: int) -> Figure:
        left, letters = room(shown, width)
        figure, ax = one_panel(width, 46 + height * len(subsets), left, right=20, top=8, bottom=28)
        for place, subset in enumerate(subsets):
            inside = [row for row in rows if row["subset"] == subset]
            _part(ax, inputs, -float(place), inside, ruled)
        lines_of_text(ax, [-float(i) for i in range(len(subsets))], shown, letters)
        ax.set_ylim(0.5 - len(subsets), 0.5)
        ax.xaxis.set_major_locator(ticks(5))
        if share:
            ax.xaxis.set_major_formatter(PERCENT)
        elif any(row["value"] < 0 or (row.get("low") or 0) < 0 for row in rows):
            zero_line(ax)
        return figure

    body = [
        (str(row["subset"]), str(row.get("model") or ""), amount(row["value"], share),
         span(row.get("low"), row.get("high"), share), row.get("n"))
        for row in rows
    ]  # fmt: skip
    return Drawing(
        file,
        title,
        "Bars are 95 % intervals." + _baseline_note(ruled),
        f"{title}: " + "; ".join(f"{r['subset']} {amount(r['value'], share)}" for r in rows[:8]),
        draw,
        Numbers(("part", "of", "value", "95 % interval", "n"), body),
        wide=760,
    )


def _part(ax: Axes, inputs: Inputs, y: float, rows: Sequence[Row], ruled: Sequence[str]) -> None:
    """A dot for each model, an upright mark for each baseline."""
    models = [row for row in rows if row.get("kind") != "baseline"]
    offsets = [y + 0.5 - (i + 1) / (len(models) + 1) for i in range(len(models))]
    dots(ax, offsets, [_dot(inputs, row) for row in models])
    for row in rows:
        if row.get("kind") == "baseline":
            place = ruled.index(str(row["model"])) if row.get("model") in ruled else 0
            ax.plot([row["value"]] * 2, [y - 0.32, y + 0.32], color=MUTED, linewidth=2.2,
                    linestyle=MARKS[place % len(MARKS)][0], solid_capstyle="butt",
                    dash_capstyle="butt", zorder=2)  # fmt: skip


def _baseline_note(ruled: Sequence[str]) -> str:
    if len(ruled) < 2:
        return "".join(f" Upright marks: {name(one)}." for one in ruled)
    told = [f"{name(one)} ({MARKS[i % len(MARKS)][1]})" for i, one in enumerate(ruled)]
    return f" Upright marks: {', '.join(told)}."
