"""Figures of margin against length gap, and of reward against length."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from rmplug_report.inputs._contributions import Floats
from rmplug_report.inputs._inputs import Inputs, RewardColumns
from rmplug_report.inputs._wording import decimal, label

from ._distributions import WHOLE, log_steps
from ._palette import colour_of
from ._panels import cloud, limits, many_panels, ticks, titled, trend, zero_line
from ._render import HALF, WIDE, Drawing, Numbers


def margin_by_gap(inputs: Inputs) -> Drawing:
    """Draw margin against the length gap, within pairs."""
    gap = inputs.gap
    assert gap is not None
    shown = inputs.rewards

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(shown), 260 if len(shown) > 1 else 290, left=46)
        for ax, one in zip(axes, shown, strict=True):
            finite = np.isfinite(one.margin)
            x, y = gap[finite], one.margin[finite]
            titled(ax, label(one.name, 22), correlation(x, y))
            _cloud_panel(ax, x, y, colour_of(inputs, one.name))
            zero_line(ax)
            zero_line(ax, upright=False)
            ax.set_xlabel("characters: chosen minus rejected")
            ax.set_ylabel("margin")
        return figure

    rows = [(one.name, *_pearson(gap, one.margin)) for one in shown]
    return Drawing(
        "margin-by-length-gap",
        "Within a pair: margin against length gap",
        "Prompts cancel out here. The line is the mean margin in twelve parts with equally many "
        "pairs: flat means that length by itself does not move the margin. Outer 0.5 % not drawn.",
        "Margin against length difference; "
        + "; ".join(f"{r[0]}: Pearson r {r[2]:.2f}" for r in rows),
        draw,
        Numbers(("reward", "pairs", "Pearson r"), rows),
        width=WIDE if len(shown) > 1 else HALF,
    )


def reward_by_length(inputs: Inputs) -> Drawing:
    """Draw reward against length over all responses."""
    shown = [one for one in inputs.rewards if one.chosen is not None and one.rejected is not None]
    length = np.concatenate([inputs.lengths["chosen"], inputs.lengths["rejected"]])

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(shown), 260 if len(shown) > 1 else 290, left=46)
        for ax, one in zip(axes, shown, strict=True):
            score = _both(one)
            finite = np.isfinite(score) & (length > 0)
            x, y = np.log10(length[finite]), score[finite]
            titled(ax, label(one.name, 22), correlation(x, y))
            _cloud_panel(ax, x, y, colour_of(inputs, one.name))
            low, high = ax.get_xlim()
            decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
            marks = [
                np.log10(s) + d for d in decades for s in log_steps(10 ** np.array([low, high]))
            ]
            ax.set_xticks([mark for mark in marks if low <= mark <= high])
            ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{10**v:,.0f}"))
            ax.set_xlabel("characters (logarithmic)")
            ax.set_ylabel("reward")
        return figure

    rows = [(one.name, *_pearson(np.log10(np.maximum(length, 1)), _both(one))) for one in shown]
    return Drawing(
        "reward-by-length-raw",
        "Raw: reward against length, over all responses",
        "Prompts are mixed here: long answers also belong to other questions than short ones do. "
        "Trust the view within pairs.",
        "Reward against length of each response; "
        + "; ".join(f"{r[0]}: Pearson r with log length {r[2]:.2f}" for r in rows),
        draw,
        Numbers(("reward", "responses", "Pearson r with log length"), rows),
        width=WIDE if len(shown) > 1 else HALF,
    )


def _both(one: RewardColumns) -> Floats:
    assert one.chosen is not None and one.rejected is not None
    return np.concatenate([one.chosen, one.rejected])


def _cloud_panel(ax: Axes, x: Floats, y: Floats, colour: str) -> None:
    across, up = limits(x), limits(y)
    inside = (x >= across[0]) & (x <= across[1]) & (y >= up[0]) & (y <= up[1])
    ax.set_xlim(*across)
    ax.set_ylim(*up)
    if inside.any():
        cloud(ax, x[inside], y[inside], colour)
    trend(ax, x, y)
    ax.set_xlim(*across)
    ax.set_ylim(*up)
    ax.xaxis.set_major_locator(ticks(4))
    ax.xaxis.set_major_formatter(WHOLE)


def _pearson(x: Floats, y: Floats) -> tuple[int, float]:
    finite = np.isfinite(x) & np.isfinite(y)
    a, b = x[finite], y[finite]
    if len(a) < 3 or not a.std() or not b.std():
        return len(a), float("nan")
    return len(a), float(np.corrcoef(a, b)[0, 1])


def correlation(x: Floats, y: Floats) -> str:
    _, r = _pearson(x, y)
    return "" if r != r else f"r = {decimal(r, 2)}"
