"""Heat maps: the number in each cell, its colour by how far it lies from the middle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rmplug_report.inputs._inputs import Row
from rmplug_report.inputs._wording import amount, label, span, unbroken

from ._palette import LIGHT
from ._panels import INK, MUTED, blank
from ._render import HALF, NARROW, WIDE, Drawing, Numbers

ABOVE, BELOW = LIGHT["m1"], LIGHT["m2"]
STEPS = 12
PALEST, DEEPEST = 0.05, 0.55
"""Opacity of a cell; text keeps a contrast of 4.5 on the deepest, light and dark."""
LETTER = 6.9
LEAST, MOST = 50, 112
FITTING = 5
"""Columns that a phone shows without scrolling."""
TALL = 30


@dataclass(frozen=True)
class Matrix:
    """Cells by row and column; a ``middle`` where colours go two ways from it."""

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[tuple[str, str], Row]
    share: bool
    middle: float | None = None
    row_title: str = ""
    column_title: str = ""

    def longer_side_down(self) -> Matrix:
        """Transpose the matrix if it is wider than tall, so that a phone scrolls one way."""
        if len(self.columns) <= max(len(self.rows), FITTING):
            return self
        turned = {(column, row): cell for (row, column), cell in self.cells.items()}
        titles = (self.column_title, self.row_title)
        return Matrix(self.columns, self.rows, turned, self.share, self.middle, *titles)

    @property
    def scale(self) -> tuple[float, float]:
        """Lowest and highest value of the colours."""
        values = [float(cell["value"]) for cell in self.cells.values()]
        if self.middle is None:
            return min(0.0, *values), max(values) or 1.0
        far = max(0.05, *(abs(value - self.middle) for value in values))
        return self.middle - far, self.middle + far


def middle_of(rows: Sequence[Row], share: bool) -> float | None:
    """Return chance if reported, one half for accuracy of pairs, 0 for values of either sign."""
    chances = [float(row["chance"]) for row in rows if row.get("chance") is not None]
    if chances:
        return float(np.mean(chances))
    if any(float(row["value"]) < 0 for row in rows):
        return 0.0
    return 0.5 if share else None


def heat(file: str, title: str, note: str, matrix: Matrix) -> Drawing:
    """Draw the matrix; many columns scroll."""
    long = max((len(label(one, 30)) for one in matrix.rows), default=1)
    left = min(long * LETTER + 18, 230)
    each = min(MOST, max(LEAST, (WIDE - left) / max(len(matrix.columns), 1)))
    full = int(left + each * len(matrix.columns) + 14 + _overhang(matrix, each))
    scrolls = len(matrix.columns) > FITTING

    def draw(width: int) -> Figure:
        used = left if width > NARROW else min(left, width * 0.4)
        over = min(_overhang(matrix, each), width * 0.1)
        size = min(MOST, (min(width, full) - used - 14 - over) / len(matrix.columns))
        return _drawn(matrix, width, used, size)

    body = [
        (row, column, amount(cell["value"], matrix.share),
         span(cell.get("low"), cell.get("high"), matrix.share), cell.get("n"))
        for (row, column), cell in matrix.cells.items()
    ]  # fmt: skip
    heads = (matrix.row_title or "row", matrix.column_title or "column")
    return Drawing(
        file,
        title,
        note,
        f"{title}: a matrix of {len(matrix.rows)} by {len(matrix.columns)}",
        draw,
        Numbers((*heads, "value", "95 % CI", "n"), body),
        width=max(full, HALF) if scrolls or full > HALF else HALF,
        scrolls=scrolls,
        hints={f"cell-{r}-{c}": _hint(matrix, row, column)
               for r, row in enumerate(matrix.rows) for c, column in enumerate(matrix.columns)
               if (row, column) in matrix.cells},
    )  # fmt: skip


def _overhang(matrix: Matrix, size: float) -> float:
    """Return the pixels that the last slanted name needs beyond its column."""
    letters = len(label(matrix.columns[-1], 24)) if matrix.columns else 0
    return max(0.0, letters * LETTER * 0.72 - size / 2) if _slanted(matrix, size) else 0.0


def _slanted(matrix: Matrix, size: float) -> bool:
    """Check whether the columns' names are wider than the columns."""
    return max((len(label(one, 24)) for one in matrix.columns), default=1) * LETTER > size - 6


def _hint(matrix: Matrix, row: str, column: str) -> str:
    """Return the text of a cell for those who point at it."""
    cell = matrix.cells[row, column]
    text = f"{label(row)}, {label(column)}: {amount(cell['value'], matrix.share)}"
    if interval := span(cell.get("low"), cell.get("high"), matrix.share):
        text += f", 95 % CI {interval}"
    return unbroken(text + (f", n = {cell['n']:,}" if cell.get("n") is not None else ""))


def _drawn(matrix: Matrix, width: int, left: float, size: float) -> Figure:
    letters = max((len(label(one, 24)) for one in matrix.columns), default=1)
    turned = _slanted(matrix, size)
    head = (min(letters, 24) * LETTER * 0.72 + 14 if turned else 24) + 18 * bool(
        matrix.column_title
    )
    tall = TALL if len(matrix.rows) <= 24 else 25
    below = 48
    height = head + tall * len(matrix.rows) + below
    figure = blank(width, height)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    _cells(ax, matrix, left, head, size, tall)
    _labels(ax, matrix, left, head, size, tall, turned)
    _key(ax, matrix, left, head + tall * len(matrix.rows) + 16, width)
    return figure


def _cells(ax: Axes, matrix: Matrix, left: float, head: float, size: float, tall: float) -> None:
    digits = 1 if size >= 44 else 0
    for r, row in enumerate(matrix.rows):
        for c, column in enumerate(matrix.columns):
            x, y = left + c * size, head + r * tall
            cell = matrix.cells.get((row, column))
            middle = (x + size / 2, y + tall / 2)
            if cell is None:
                ax.text(*middle, "–", ha="center", va="center", color=MUTED, fontsize=11)
                continue
            value = float(cell["value"])
            colour, alpha = _colour(value, matrix)
            box = Rectangle((x + 1, y + 1), size - 2, tall - 2, facecolor=colour, alpha=alpha,
                            linewidth=0, gid=f"cell-{r}-{c}")  # fmt: skip
            ax.add_patch(box)
            text = amount(value, matrix.share, digits).removesuffix("\N{NO-BREAK SPACE}%")
            ax.text(*middle, text, ha="center", va="center", color=INK,
                    fontsize=11.5 if size >= 44 else 10)  # fmt: skip


def _colour(value: float, matrix: Matrix) -> tuple[str, float]:
    """Return the colour of a value, and its opacity."""
    low, high = matrix.scale
    if matrix.middle is None:
        part = (value - low) / ((high - low) or 1)
    else:
        part = (value - matrix.middle) / ((high - low) / 2)
    depth = round(min(1.0, abs(part)) * STEPS) / STEPS
    return (ABOVE if part >= 0 else BELOW), PALEST + (DEEPEST - PALEST) * depth


def _labels(
    ax: Axes, matrix: Matrix, left: float, head: float, size: float, tall: float, turned: bool
) -> None:
    fit = int((left - 14) / LETTER)
    for r, row in enumerate(matrix.rows):
        ax.text(left - 10, head + (r + 0.5) * tall, label(row, max(8, fit)), ha="right",
                va="center", color=INK, fontsize=11.5)  # fmt: skip
    for c, column in enumerate(matrix.columns):
        x = left + (c + 0.5) * size
        if turned:
            ax.text(x - 4, head - 5, label(column, 24), rotation=42, ha="left", va="bottom",
                    rotation_mode="anchor", color=INK, fontsize=11)  # fmt: skip
        else:
            ax.text(x, head - 6, label(column, 24), ha="center", va="bottom", color=INK,
                    fontsize=11.5)  # fmt: skip
    if matrix.column_title:
        ax.text(left, 13, f"{matrix.column_title} →", color=MUTED, fontsize=10.5, va="center")
    if matrix.row_title:
        ax.text(left - 10, head - 6, f"{matrix.row_title} ↓", color=MUTED, fontsize=10.5,
                ha="right", va="bottom")  # fmt: skip


def _key(ax: Axes, matrix: Matrix, left: float, top: float, width: int) -> None:
    """Draw the legend of the colours, from the lowest to the highest value."""
    low, high = matrix.scale
    if matrix.share and all(cell["value"] >= 0 for cell in matrix.cells.values()):
        low, high = max(low, 0.0), min(high, 1.0)
    swatch = 15
    start = min(left, width - 9 * swatch - 14)
    for step in range(9):
        colour, alpha = _colour(low + (high - low) * step / 8, matrix)
        ax.add_patch(Rectangle((start + step * swatch, top), swatch - 1, 10, facecolor=colour,
                               alpha=alpha, linewidth=0))  # fmt: skip
    for x, value, aligned in ((start, low, "left"), (start + 9 * swatch, high, "right")):
        text = amount(value, matrix.share, 0 if matrix.share else None)
        ax.text(x, top + 21, text, color=MUTED, fontsize=10, va="center", ha=aligned)


def colours_of(matrix: Matrix) -> str:
    """Describe the meaning of a matrix's colours."""
    if matrix.middle is None:
        return "In per cent. Darker: more." if matrix.share else "Darker: more."
    middle = amount(matrix.middle, matrix.share, 0 if matrix.share else None)
    return f"Blue: above {middle}. Orange: below."
