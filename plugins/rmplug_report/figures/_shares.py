"""Figures of what families of features explain: alone, uniquely, and by chance; and of few
features."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rmplug_report.inputs._inputs import Row
from rmplug_report.inputs._paired import p_text
from rmplug_report.inputs._shares import families_of, the_share
from rmplug_report.inputs._wording import between, label, percent

from ._feature_effects import without_step
from ._interval_dots import PERCENT, Dot, dots, lines_of_text, room
from ._palette import LIGHT
from ._panels import MUTED, one_panel, ticks, zero_line
from ._render import Drawing, Numbers

LINE_HEIGHT = 44
SPECIAL = ("together", "with trees", "interaction", "shared")
NAMES = {
    "together": "all families together",
    "with trees": "with boosted trees",
    "interaction": "what trees add",
    "shared": "shared by families",
}
NOTE = (
    "Share of the variance explained on held-out prompts, with 95 % CIs. Filled: what only this "
    "family adds to the others, or all together. Hollow: the family alone. Upright marks: what "
    "95 % of permuted targets stay below."
)
MOST_FEATURES = 15


def shares(file: str, title: str, rows: Sequence[Row]) -> Drawing:
    """Draw the shares of one part: a line for each family, one for all of them, and the rest."""
    special = [name for name in SPECIAL if the_share(rows, name)]
    families = families_of(rows)
    names = [*(NAMES[name] for name in special), *families]
    at = [-float(i) for i in range(len(names))]

    def draw(width: int) -> Figure:
        left, letters = room(names, width)
        height = 56 + LINE_HEIGHT * len(names)
        figure, ax = one_panel(width, height, left, right=22, top=8, bottom=42)
        for y, name in zip(at, special, strict=False):
            _draw(ax, y, the_share(rows, name), hollow=False)
        for y, name in zip(at[len(special) :], families, strict=True):
            unique = the_share(rows, "unique", name)
            apart = 0.16 if unique else 0.0
            _draw(ax, y + apart, the_share(rows, "alone", name), hollow=True)
            _draw(ax, y - apart, unique, hollow=False)
        lines_of_text(ax, at, names, letters)
        ax.set_ylim(0.5 - len(names), 0.6)
        ax.xaxis.set_major_locator(ticks(5))
        ax.xaxis.set_major_formatter(PERCENT)
        zero_line(ax)
        ax.set_xlabel("explained variance (R²), held out")
        return figure

    spoken = "; ".join(
        f"{row['family'] or NAMES[row['share']]} {row['share']} {percent(row['value'])}"
        for row in rows[:8]
    )
    numbers = Numbers(COLUMNS, [_line(row) for row in rows])
    return Drawing(file, title, NOTE, f"{title}: {spoken}", draw, numbers, width=760)


COLUMNS = ("share", "family", "R²", "95 % CI", "95 % of permuted below", "p", "p (Holm)", "n")


def _line(row: Row) -> tuple[object, ...]:
    null = row["null_high"]
    tests = (p_text(row[key]) if row[key] is not None else "–" for key in ("p", "p_holm"))
    return (
        row["share"], row["family"] or "–", percent(row["value"]),
        between(row["low"], row["high"]), "–" if null is None else percent(null), *tests, row["n"],
    )  # fmt: skip


def _draw(ax: Axes, y: float, row: Row | None, hollow: bool) -> None:
    if row is None:
        return
    dots(ax, [y], [Dot(row["value"], row["low"], row["high"], LIGHT["m1"], hollow)])
    if row["null_high"] is not None:
        ax.plot([row["null_high"]] * 2, [y - 0.15, y + 0.15], color=MUTED, linewidth=2.2, zorder=2)


def sparse(file: str, title: str, rows: Sequence[Row]) -> Drawing:
    """Draw the coefficients of few features; hollow where the choice is not stable."""
    shown = list(rows[:MOST_FEATURES])
    names, step = without_step([str(row["feature"]) for row in shown])
    labels = [
        f"{label(n, 40)}  {percent(r['chosen'], 0)}" for n, r in zip(names, shown, strict=True)
    ]
    at = [-float(i) for i in range(len(shown))]

    def draw(width: int) -> Figure:
        left, letters = room(labels, width)
        figure, ax = one_panel(width, 56 + 27 * len(shown), left, right=22, top=8, bottom=42)
        marks = [
            Dot(r["coefficient"], r["low"], r["high"], LIGHT["m1"], hollow=not r["stable"])
            for r in shown
        ]
        dots(ax, at, marks)
        lines_of_text(ax, at, labels, letters)
        ax.set_ylim(0.4 - len(shown), 0.6)
        zero_line(ax)
        ax.xaxis.set_major_locator(ticks(5))
        ax.set_xlabel("coefficient per standard deviation")
        return figure

    note = (
        "Change of the target per standard deviation of the feature, the other shown features held "
        "fixed. After the name: in how many halves of the prompts an elastic net chooses the "
        "feature, with a penalty that a permuted target passes in 5 % of cases. Filled: stable."
    )
    body = [
        (r["feature"], r["coefficient"], r["low"], r["high"], percent(r["chosen"], 0),
         "–" if r["same_sign"] is None else percent(r["same_sign"], 0))
        for r in rows
    ]  # fmt: skip
    columns = ("feature", "coefficient", "low", "high", "chosen", "same sign")
    spoken = "; ".join(f"{r['feature']} {r['coefficient']:.3g}" for r in shown[:6])
    return Drawing(
        file, title, note + step, f"{title}: {spoken}", draw, Numbers(columns, body), width=760
    )
