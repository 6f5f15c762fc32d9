"""Figures of paired differences, ranks, and changes: a dot with its interval on each line."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_names import metric_title
from rmplug_report.inputs._paired import is_significant, p_text
from rmplug_report.inputs._row_forms import distinct
from rmplug_report.inputs._wording import decimal, label, number, signed, span

from ._interval_dots import Dot, dots, lines_of_text, room, row_dot
from ._palette import LIGHT
from ._panels import CARD, INK, LINE, MUTED, one_panel, ticks, zero_line
from ._render import HALF, Drawing, Numbers

MOST_LINES = 30
LINE_HEIGHT = 46
DIFFERENCES = (
    "Each line is the first minus the second, with its 95 % CI. Filled: significant "
    "(Holm-corrected p below 0.05; without a p, an interval without 0). Hollow: not significant."
)


def differences(file: str, title: str, metric: str, rows: Sequence[Row], share: bool) -> Drawing:
    """Draw differences of two models with the zero line: largest first, several parts in order."""
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
    spoken = "; ".join(
        f"{row['model']} minus {row['other']} {signed(row['value'], share)}" for row in shown[:6]
    )
    more = f" The {left_out} {'last' if parted else 'smallest'} are only in the numbers."
    numbers = _difference_numbers(ordered, share, parted)
    note = DIFFERENCES + more * bool(left_out)
    return Drawing(file, title, note, f"{title}: {spoken}", draw, numbers, width=760)


def _two(row: Row, parted: bool) -> str:
    """Return the two models compared, and the part if a figure has several."""
    subset, model, other = (str(row.get(key) or "") for key in ("subset", "model", "other"))
    first = label(model, 26)
    if parted:
        first = label(subset if subset.startswith(model) else f"{subset}: {model}", 34)
    return f"{first} − {label(other, 26)}"


def _difference_axis(ax: Axes, metric: str, share: bool) -> None:
    zero_line(ax)
    ax.xaxis.set_major_locator(ticks(5))
    if share:
        ax.xaxis.set_major_formatter(lambda value, _: decimal(100 * value, 0))
    title = f"difference in {metric_title(metric)}" if metric else "difference"
    ax.set_xlabel(title + (", percentage points" if share else ""))


def _difference_texts(ax: Axes, y: float, row: Row, two: str, share: bool, size: float) -> None:
    """Write the two models above the line, the difference and its p at the right."""
    across = ax.get_yaxis_transform()
    behind = {"facecolor": CARD, "edgecolor": "none", "pad": 1.5}
    ax.text(0, y + 0.3, two, transform=across, va="center", color=INK, fontsize=size,
            bbox=behind, zorder=5)  # fmt: skip
    weight = "bold" if is_significant(row) else "normal"
    ax.text(1.02, y - 0.14, signed(row["value"], share), transform=across, va="center",
            color=INK, weight=weight)  # fmt: skip
    if row.get("p_holm") is not None:
        ax.text(1.02, y + 0.3, f"p {p_text(row['p_holm'])}", transform=across, va="center",
                color=MUTED, fontsize=size - 0.5)  # fmt: skip


def _difference(row: Row) -> Dot:
    clear = is_significant(row)
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
         *(p_text(row.get(key)) for key in tests), row.get("n"))
        for row in rows
    ]  # fmt: skip
    unit = "difference, points" if share else "difference"
    columns = (*("part",) * parted, "model", "minus", unit, "95 % CI",
               *(heads[key] for key in tests), "n")  # fmt: skip
    return Numbers(columns, body)


def ranks(inputs: Inputs, file: str, title: str, rows: Sequence[Row]) -> Drawing:
    """Draw the rank of each model with its interval, best first."""
    shown = sorted(rows, key=lambda row: (row["value"], row.get("high") or 0))
    names = [str(row["model"]) for row in shown]
    at = [-float(i) for i in range(len(shown))]

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        figure, ax = one_panel(width, 56 + 30 * len(shown), left, right=22, top=8, bottom=40)
        dots(ax, at, [row_dot(inputs, row) for row in shown])
        lines_of_text(ax, at, names, letters)
        last = max(len(shown), *(row.get("high") or row["value"] for row in shown))
        ax.set_xlim(0.6, last + 0.4)
        ax.set_ylim(-len(shown) + 0.4, 0.6)
        ax.xaxis.set_major_locator(ticks(min(8, int(last))))
        ax.set_xlabel("rank, 1 is best")
        return figure

    body = [(str(row["model"]), number(row["value"]), _ranks_between(row)) for row in shown]
    spoken = "; ".join(f"{row['model']} {row['value']:g}" for row in shown)
    return Drawing(file, title, "The middle 95 % of ranks when prompts are resampled.",
                   f"{title}: {spoken}", draw, Numbers(("model", "rank", "95 % CI"), body),
                   width=760 if len(shown) > 3 else HALF)  # fmt: skip


def _ranks_between(row: Row) -> str:
    if row.get("low") is None or row.get("high") is None:
        return ""
    return f"{number(row['low'])}–{number(row['high'])}"


def changes(
    file: str,
    title: str,
    pairs: Sequence[tuple[str, Row, Row]],
    ends: tuple[str, str] = ("before", "after"),
) -> Drawing:
    """Draw two values of each part, by default before and after, joined, with their intervals."""
    names = [part for part, _, _ in pairs]
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

    spoken = "; ".join(
        f"{part} from {number(before['value'])} to {number(after['value'])}"
        for part, before, after in pairs[:8]
    )
    body = [
        (part, number(before["value"]), _span(before), number(after["value"]), _span(after),
         after.get("n"))
        for part, before, after in pairs
    ]  # fmt: skip
    return Drawing(
        file,
        title,
        f"Hollow: {ends[0]}. Filled: {ends[1]}. Bars are 95 % CIs.",
        f"{title}: {spoken}",
        draw,
        Numbers(("part", ends[0], "95 % CI", ends[1], f"95 % CI of {ends[1]}", "n"), body),
        width=760,
    )  # fmt: skip


def _end(row: Row, after: bool) -> Dot:
    colour = LIGHT["m1"] if after else MUTED
    return Dot(row["value"], row.get("low"), row.get("high"), colour, hollow=not after)


def _span(row: Row) -> str:
    return span(row.get("low"), row.get("high"), False)
