"""The plan as a graph: steps in layers from left to right, coloured by family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path

from rmplug import PlanStep, PlanView

from ._palette import FAMILIES, LIGHT
from ._panels import CARD, INK, LINE, MUTED, blank
from ._render import Drawing
from ._wording import name

BOX, TALL, ACROSS, DOWN, THREAD = 156, 48, 52, 16, 10


@dataclass
class Node:
    """A step's place, or the place where a long edge passes a layer."""

    layer: int
    step: PlanStep | None = None
    before: list[str] = field(default_factory=list)
    y: float = 0.0

    @property
    def height(self) -> int:
        return TALL if self.step else THREAD


def parents(step: PlanStep, known: Mapping[str, object]) -> list[str]:
    """Ids of the steps that a step takes, whatever column it takes of them."""
    taken = [entry for entries in step.inputs.values() for entry in entries]
    ids = [entry if entry in known else entry.split(".")[0] for entry in taken]
    return [one for one in dict.fromkeys(ids) if one in known and one != step.id]


def nodes(steps: Sequence[PlanStep]) -> dict[str, Node]:
    """Every step in the layer after its last parent; long edges have a node in each between."""
    known = {step.id: step for step in steps}
    found: dict[str, Node] = {}
    for step in steps:
        taken = [one for one in parents(step, known) if one in found]
        layer = max((found[one].layer + 1 for one in taken), default=0)
        found[step.id] = Node(layer, step, taken)
    _pull_sources(found)
    for key, node in list(found.items()):
        node.before = [_threaded(found, one, key, node.layer) for one in node.before]
    return found


def _pull_sources(found: dict[str, Node]) -> None:
    """A step that takes nothing stands just before the first step that takes it."""
    for key, node in found.items():
        after = [other.layer for other in found.values() if key in other.before]
        if not node.before and after:
            node.layer = max(node.layer, min(after) - 1)


def _threaded(found: dict[str, Node], start: str, end: str, layer: int) -> str:
    """Nodes between ``start`` and ``layer``, chained; the last of them."""
    last = start
    for between in range(found[start].layer + 1, layer):
        key = f"{start}\0{end}\0{between}"
        found[key] = Node(between, None, [last])
        last = key
    return last


def arranged(found: Mapping[str, Node]) -> list[list[str]]:
    """Keys by layer, each layer in the order of the middles of what its nodes are joined to."""
    layers: list[list[str]] = [
        [] for _ in range(max((n.layer for n in found.values()), default=0) + 1)
    ]
    for key, node in found.items():
        layers[node.layer].append(key)
    for sweep in range(6):
        order = layers if sweep % 2 == 0 else layers[::-1]
        for layer in order:
            _place(layers, found)
            layer.sort(key=lambda key: _middle(key, found, back=sweep % 2 == 0))
    _place(layers, found)
    return layers


def _middle(key: str, found: Mapping[str, Node], back: bool) -> float:
    joined = found[key].before if back else [k for k, n in found.items() if key in n.before]
    ys = [found[one].y for one in joined]
    return sum(ys) / len(ys) if ys else found[key].y


def _place(layers: Sequence[Sequence[str]], found: Mapping[str, Node]) -> None:
    """Stack each layer around the common middle."""
    for layer in layers:
        total = sum(found[key].height + DOWN for key in layer) - DOWN
        y = -total / 2
        for key in layer:
            found[key].y = y + found[key].height / 2
            y += found[key].height + DOWN


def plan(view: PlanView) -> Drawing:
    """What ran, as a figure."""
    found = nodes(view.steps)
    layers = arranged(found)
    width = len(layers) * (BOX + ACROSS) - ACROSS + 8
    tallest = max(sum(found[k].height + DOWN for k in layer) - DOWN for layer in layers)

    def draw(_: int) -> Figure:
        figure = blank(width, tallest + 12)
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        ax.set_xlim(-4, width - 4)
        ax.set_ylim(tallest / 2 + 6, -tallest / 2 - 6)
        for node in found.values():
            for one in node.before:
                _edge(ax, found[one], node)
        for node in found.values():
            _node(ax, node)
        return figure

    told = "; ".join(
        f"{s.id} ({s.kind})" + (f" from {', '.join(p)}" if (p := parents(s, found)) else "")
        for s in view.steps
    )
    return Drawing("plan", "", "", f"Graph of the plan: {told}", draw, wide=width, scrolls=True)


def _left(node: Node) -> float:
    return node.layer * (BOX + ACROSS)


def _edge(ax: Axes, start: Node, end: Node) -> None:
    x0, x1 = _left(start) + BOX, _left(end)
    half = (x1 - x0) / 2
    points = [(x0, start.y), (x0 + half, start.y), (x1 - half, end.y), (x1, end.y)]
    codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    if end.step is None:
        points, codes = [*points, (x1 + BOX, end.y)], [*codes, Path.LINETO]
    ax.add_patch(
        PathPatch(Path(points, codes), fill=False, edgecolor=MUTED, alpha=0.55, linewidth=1.4)
    )
    if end.step is not None:
        head = [(x1 - 6, end.y - 4), (x1, end.y), (x1 - 6, end.y + 4)]
        ax.plot(*zip(*head, strict=True), color=MUTED, linewidth=1.4, alpha=0.8)


def _node(ax: Axes, node: Node) -> None:
    if node.step is None:
        return
    x, y, step = _left(node), node.y - TALL / 2, node.step
    colour = LIGHT[FAMILIES.get(step.family, "m8")]
    box = FancyBboxPatch((x, y), BOX, TALL, boxstyle="round,pad=0,rounding_size=7",
                         facecolor=CARD, edgecolor=LINE, linewidth=1.2)  # fmt: skip
    ax.add_patch(box)
    ax.add_patch(Rectangle((x, y + 9), 3.5, TALL - 18, facecolor=colour, edgecolor="none"))
    ax.text(x + 14, y + 17, name(step.id, 19), color=INK, weight="bold", fontsize=11, va="center")
    rows = "" if step.rows is None else f" · {step.rows:,}"
    ax.text(x + 14, y + 34, name(f"{step.kind}{rows}", 25), color=colour, fontsize=9.5, va="center")
