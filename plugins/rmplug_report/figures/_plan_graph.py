"""The plan as a graph: steps in layers, from left to right or from top to bottom, by family."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path

from rmplug import PlanView
from rmplug.plan_layout import (
    ACROSS,
    BOX,
    DOWN,
    TALL,
    PlanNode,
    Way,
    arranged,
    nodes,
    parents,
    size_of,
)
from rmplug_report.inputs._wording import label

from ._palette import FAMILY_COLOURS, LIGHT
from ._panels import CARD, INK, LINE, MUTED, blank
from ._render import WIDE, Drawing

FITTING = WIDE - 48
"""Pixels of the page's column inside a card."""


def plan(view: PlanView) -> Drawing:
    """Draw the plan that ran: from left to right where that fits, else from top to bottom."""
    graph = nodes(view.steps)
    layers = arranged(graph, ACROSS)
    way, (width, height) = ACROSS, size_of(graph, layers, ACROSS)
    if width > FITTING:
        way, layers = DOWN, arranged(graph, DOWN)
        height, width = size_of(graph, layers, DOWN)

    def draw(_: int) -> Figure:
        figure = blank(width, height)
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        middle, start = (width / 2, 4) if way.down else (4, height / 2)
        ax.set_xlim(-middle, width - middle)
        ax.set_ylim(height - start, -start)
        for node in graph.values():
            for one in node.before:
                _edge(ax, graph[one], node, way)
        for node in graph.values():
            _node(ax, node, way)
        return figure

    spoken = "; ".join(
        f"{s.id} ({s.kind})" + (f" from {', '.join(p)}" if (p := parents(s, graph)) else "")
        for s in view.steps
    )
    note = "Each box is a step: its name, its kind, and how many rows it gave. "
    note += "Lines run from top to bottom." if way.down else "Lines run from left to right."
    return Drawing(
        "plan", "Steps and their inputs", note, f"Graph of the plan: {spoken}", draw, width=width,
        scrolls=True,
    )  # fmt: skip


def _start(node: PlanNode, way: Way) -> float:
    return node.layer * (way.along + way.between_layers)


def _edge(ax: Axes, start: PlanNode, end: PlanNode, way: Way) -> None:
    from_, to = _start(start, way) + way.along, _start(end, way)
    half = (to - from_) / 2
    points = [(from_, start.at), (from_ + half, start.at), (to - half, end.at), (to, end.at)]
    codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    if end.step is None:
        points, codes = [*points, (to + way.along, end.at)], [*codes, Path.LINETO]
    path = Path([way.point(*point) for point in points], codes)
    ax.add_patch(PathPatch(path, fill=False, edgecolor=MUTED, alpha=0.55, linewidth=1.4))
    if end.step is not None:
        head = [(to - 6, end.at - 4), (to, end.at), (to - 6, end.at + 4)]
        ax.plot(*zip(*(way.point(*point) for point in head), strict=True),
                color=MUTED, linewidth=1.4, alpha=0.8)  # fmt: skip


def _node(ax: Axes, node: PlanNode, way: Way) -> None:
    if node.step is None:
        return
    step, across = node.step, way.across / 2
    x, y = way.point(_start(node, way), node.at - across)
    colour = LIGHT[FAMILY_COLOURS.get(step.family, "m8")]
    box = FancyBboxPatch((x, y), BOX, TALL, boxstyle="round,pad=0,rounding_size=7",
                         facecolor=CARD, edgecolor=LINE, linewidth=1.2)  # fmt: skip
    ax.add_patch(box)
    ax.add_patch(Rectangle((x, y + 9), 3.5, TALL - 18, facecolor=colour, edgecolor="none"))
    ax.text(x + 14, y + 17, label(step.id, 19), color=INK, weight="bold", fontsize=11, va="center")
    rows = "" if step.rows is None else f" · {step.rows:,}"
    ax.text(
        x + 14, y + 34, label(f"{step.kind}{rows}", 25), color=colour, fontsize=9.5, va="center"
    )
