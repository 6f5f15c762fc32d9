"""Figures of audits: shares of rows with a fault, and measures that favour a side."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from rmplug_report.inputs._inputs import Row
from rmplug_report.inputs._wording import between, percent

from ._interval_dots import PERCENT, Dot, dots, lines_of_text, room
from ._panels import INK, MUTED, one_panel, ticks
from ._render import Drawing, Numbers

MOST_LINES = 30


def shares(file: str, title: str, note: str, rows: Sequence[Row], middle: float | None) -> Drawing:
    """Draw one share with its interval on each line, the greatest first; ``middle`` is the share
    that chance alone gives, drawn as a dashed line: dots whose interval holds it are hollow."""
    ordered = sorted(rows, key=lambda row: -float(row["value"]))
    shown = ordered[:MOST_LINES]
    names = [str(row["finding"]) for row in shown]
    at = [-float(place) for place in range(len(shown))]

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        figure, ax = one_panel(width, 40 + 32 * len(shown), left, right=92, top=8, bottom=28)
        dots(ax, at, [Dot(row["value"], row["low"], row["high"], INK, _is_open(row, middle))
                      for row in shown])  # fmt: skip
        if middle is not None:
            ax.axvline(middle, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
        ends = [end for row in shown for end in (row["value"], row["high"]) if end is not None]
        ax.set_xlim(*((-0.02, max(0.05, *ends) * 1.06) if middle is None else (0, 1)))
        ax.set_ylim(0.6 - len(shown), 0.6)
        ax.xaxis.set_major_formatter(PERCENT)
        ax.xaxis.set_major_locator(ticks(5))
        lines_of_text(ax, at, names, letters)
        for y, row in zip(at, shown, strict=True):
            ax.text(1.02, y, _text(row), transform=ax.get_yaxis_transform(), va="center", color=INK)
        return figure

    left_out = len(ordered) - len(shown)
    spoken = "; ".join(f"{row['finding']} {percent(row['value'])}" for row in shown[:8])
    more = f" The {left_out} smallest are only in the numbers." if left_out else ""
    return Drawing(file, title, note + more, f"{title}: {spoken}.", draw, _numbers(ordered))


def _is_open(row: Row, middle: float | None) -> bool:
    if middle is None or row["low"] is None:
        return False
    return bool(row["low"] <= middle <= row["high"])


def _text(row: Row) -> str:
    if row.get("count") is not None:
        return f"{row['count']:,} · {percent(row['value'])}"
    return percent(row["value"])


def _numbers(rows: Sequence[Row]) -> Numbers:
    body = [
        (str(row["finding"]), row.get("count"), percent(row["value"]),
         between(row["low"], row["high"]), row["n"])
        for row in rows
    ]  # fmt: skip
    return Numbers(("finding", "rows", "share", "95 % CI", "of"), body)
