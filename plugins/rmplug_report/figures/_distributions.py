"""Figures of the distributions of lengths, rewards and margins."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from rmplug_report.inputs._contributions import Floats
from rmplug_report.inputs._inputs import Inputs, ResponseScores, RewardColumns
from rmplug_report.inputs._wording import label, number, percent

from ._palette import LIGHT, colour_of
from ._panels import (
    INK,
    MUTED,
    limits,
    many_panels,
    one_panel,
    ticks,
    titled,
    zero_line,
)
from ._render import HALF, WIDE, Drawing, Numbers

WHOLE = FuncFormatter(lambda value, _: number(round(value)))


def lengths(inputs: Inputs) -> Drawing:
    """Draw the distributions of the lengths of chosen and rejected responses."""
    chosen, rejected = inputs.lengths["chosen"], inputs.lengths["rejected"]
    shortest = min(chosen.min(initial=1), rejected.min(initial=1))
    empty = "" if shortest else " An empty response stands at 1."
    middles = [float(np.median(side)) if len(side) else 0.0 for side in (chosen, rejected)]

    def draw(width: int) -> Figure:
        figure, ax = one_panel(width, 220, left=14, bottom=42)
        both = np.maximum(np.concatenate([chosen, rejected]), 1)
        edges = np.geomspace(both.min() * 0.9, both.max() * 1.1, min(60, width // 9))
        filled(ax, chosen + (chosen == 0), edges, LIGHT["m1"])
        outlined(ax, rejected + (rejected == 0), edges)
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=log_steps(both)))
        ax.xaxis.set_major_formatter(WHOLE)
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("characters of a response (logarithmic)")
        bare_left(ax)
        key(ax, LIGHT["m1"])
        return figure

    rows = [
        (
            side,
            *(float(q) for q in np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))),
            values.mean(),
        )
        for side, values in inputs.lengths.items()
        if len(values)
    ]
    return Drawing(
        "lengths",
        "Response length",
        "Filled: chosen. Outlined: rejected." + empty,
        f"Histogram of response lengths; median {middles[0]:.0f} characters chosen, "
        f"{middles[1]:.0f} rejected.",
        draw,
        Numbers(("side", "5 %", "25 %", "median", "75 %", "95 %", "mean"), rows),
    )


def log_steps(values: Floats) -> tuple[float, ...]:
    """Return marks in each decade: fewer, the more decades there are."""
    decades = np.log10(values.max() / values.min()) if len(values) else 3.0
    return (1.0,) if decades > 2.4 else (1.0, 3.0) if decades > 1.3 else (1.0, 2.0, 5.0)


def filled(ax: Axes, values: Floats, edges: Floats, colour: str, alpha: float = 0.75) -> None:
    counts, _ = np.histogram(values, edges)
    ax.stairs(counts, edges, fill=True, color=colour, alpha=alpha, linewidth=0)


def outlined(ax: Axes, values: Floats, edges: Floats) -> None:
    counts, _ = np.histogram(values, edges)
    ax.stairs(counts, edges, color=INK, linewidth=1.6)


def key(ax: Axes, colour: str) -> None:
    """Write the legend, filled and outlined side, at the top right."""
    ax.text(
        1, 1, "chosen", color=colour, transform=ax.transAxes, ha="right", va="top", weight="bold"
    )
    ax.text(1, 0.88, "rejected", color=INK, transform=ax.transAxes, ha="right", va="top")


def bare_left(ax: Axes) -> None:
    """Remove the axis of counts: only the shape is to be read."""
    ax.set_yticks([])
    ax.set_ylim(bottom=0)


def margins(inputs: Inputs) -> Drawing:
    """Draw the margins of each reward, right and wrong in different shades."""
    rewards = inputs.rewards

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(rewards), 200, left=14)
        for ax, reward in zip(axes, rewards, strict=True):
            _margin_panel(ax, reward, colour_of(inputs, reward.name))
        return figure

    rows = [_quantiles(one.name, one.margin) for one in rewards]
    return Drawing(
        "margins",
        "Margins (chosen minus rejected)",
        "Right of zero the reward agrees with the preference; the pale part is where it does not. "
        "The outer 0.5 % at either end is not drawn.",
        "Histograms of margins. " + "; ".join(f"{r[0]}: median {r[4]:.3g}" for r in rows),
        draw,
        Numbers(("reward", "pairs", "5 %", "25 %", "median", "75 %", "95 %", "mean", "sd"), rows),
        width=WIDE if len(rewards) > 1 else HALF,
    )


def _margin_panel(ax: Axes, reward: RewardColumns, colour: str) -> None:
    finite = reward.margin[np.isfinite(reward.margin)]
    low, high = limits(finite)
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 44
    edges = np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step
    filled(ax, finite[finite > 0], edges, colour, 0.85)
    filled(ax, finite[finite <= 0], edges, colour, 0.3)
    zero_line(ax)
    bare_left(ax)
    titled(ax, label(reward.name, 28))
    ax.set_xlabel("margin")
    ax.xaxis.set_major_locator(ticks(5))
    if len(finite):
        wrong = float((finite < 0).mean())
        above = percent(float((finite > 0).mean()), 0)
        ax.text(0.99, 0.97, f"{above} above 0", color=colour,
                transform=ax.transAxes, ha="right", va="top", weight="bold",
                fontsize=11)  # fmt: skip
        ax.text(0.01, 0.97, f"{percent(wrong, 0)} below", color=MUTED,
                transform=ax.transAxes, ha="left", va="top", fontsize=11)  # fmt: skip


def _quantiles(title: str, values: Floats) -> tuple[str | float | int, ...]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return (title, 0, *([np.nan] * 7))
    cuts = np.quantile(finite, (0.05, 0.25, 0.5, 0.75, 0.95))
    return (
        title,
        len(finite),
        *(float(cut) for cut in cuts),
        float(finite.mean()),
        float(finite.std()),
    )


def rewards(inputs: Inputs) -> Drawing:
    """Draw scores of chosen and rejected responses, or of single responses."""
    both = [one for one in inputs.rewards if one.chosen is not None and one.rejected is not None]
    shown: list[RewardColumns | ResponseScores] = [*both, *inputs.scores]

    def draw(width: int) -> Figure:
        figure, axes = many_panels(width, len(shown), 200, left=14)
        for ax, one in zip(axes, shown, strict=True):
            _reward_panel(ax, one, colour_of(inputs, one.name))
        return figure

    rows = [
        _quantiles(f"{one.name}, {side}", values) for one in shown for side, values in _sides(one)
    ]
    return Drawing(
        "rewards",
        "Rewards, on each model’s own scale",
        "Filled: chosen. Outlined: rejected. Scores of different prompts are not comparable with "
        "each other, only the two of one pair are: read the shapes, not the overlap.",
        "Histograms of rewards. " + "; ".join(f"{r[0]}: median {r[4]:.3g}" for r in rows),
        draw,
        Numbers(
            ("reward", "responses", "5 %", "25 %", "median", "75 %", "95 %", "mean", "sd"), rows
        ),
        width=WIDE if len(shown) > 1 else HALF,
    )


def _sides(one: RewardColumns | ResponseScores) -> list[tuple[str, Floats]]:
    if isinstance(one, ResponseScores):
        return [("responses", one.values)]
    sides = (("chosen", one.chosen), ("rejected", one.rejected))
    return [(side, values) for side, values in sides if values is not None]


def _reward_panel(ax: Axes, one: RewardColumns | ResponseScores, colour: str) -> None:
    sides = [values[np.isfinite(values)] for _, values in _sides(one)]
    low, high = limits(np.concatenate(sides))
    edges = np.linspace(low, high, 45)
    filled(ax, sides[0], edges, colour)
    if len(sides) > 1:
        outlined(ax, sides[1], edges)
        key(ax, colour)
    bare_left(ax)
    titled(ax, label(one.name, 28))
    ax.set_xlabel("reward")
    ax.xaxis.set_major_locator(ticks(5))
