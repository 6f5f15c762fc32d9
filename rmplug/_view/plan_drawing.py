"""The plan of a run as a drawing: a box for each step, with its status, time and odd rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmplug._run.recorded import inputs_of
from rmplug.families import PlanStep
from rmplug.plan_layout import BOX, PlanNode, Way, arranged, nodes, parents, size_of
from rmplug.records import RunRecord

TALL = 66
ACROSS = Way(BOX, TALL, 52, 16, down=False)
DOWN = Way(TALL, BOX, 36, 16, down=True)
FITTING = 1110
"""Pixels of the page's column inside a card."""
MOST_STEPS = 120
"""Steps of a plan that is drawn: a larger one is a table only."""
SIGNS = {
    "done": "✓", "reused": "↺", "rebuilt": "✓", "failed": "✗", "interrupted": "✗",
    "running": "▶", "waiting": "○",
}  # fmt: skip
"""A sign for each status, so that it can be told without colour."""


@dataclass(frozen=True)
class Box:
    """A step in the drawing: its corner in pixels and its lines of text."""

    x: float
    y: float
    id: str
    kind: str
    family: str
    status: str
    sign: str
    seconds: float
    rows: int | None
    odd: int


@dataclass(frozen=True)
class Drawing:
    """Boxes, the lines between them as paths of SVG, and what is said to those who listen."""

    width: float
    height: float
    boxes: Sequence[Box]
    edges: Sequence[str]
    spoken: str


def draw_plan(record: RunRecord, odd: Mapping[str, int]) -> Drawing | None:
    """Draw the steps of a run: from left to right where that fits, else from top to bottom; None
    where there are too many, or none. ``odd`` counts the odd rows of each step."""
    steps = [_plan_step(record, name) for name in record.steps]
    if not 0 < len(steps) <= MOST_STEPS:
        return None
    graph = nodes(steps)
    layers = arranged(graph, ACROSS)
    way, (width, height) = ACROSS, size_of(graph, layers, ACROSS)
    if width > FITTING:
        way, layers = DOWN, arranged(graph, DOWN)
        height, width = size_of(graph, layers, DOWN)
    by_id = {step.id: step for step in steps}
    middle = Middle(way, width / 2 if way.down else 4, 4 if way.down else height / 2)
    edges = [middle.edge(graph[one], node) for node in graph.values() for one in node.before]
    boxes = [_box(record, node, middle, odd) for node in graph.values() if node.step]
    spoken = "; ".join(
        f"{step.id} ({step.kind}, {record.steps[step.id].status})"
        + (f" from {', '.join(before)}" if (before := parents(step, by_id)) else "")
        for step in steps
    )
    return Drawing(width, height, boxes, edges, spoken)


def _plan_step(record: RunRecord, name: str) -> PlanStep:
    step = record.steps[name]
    written: Any = record.spec.get("steps", {}).get(name, {})
    inputs = inputs_of(written if isinstance(written, Mapping) else {}, step, record.steps)
    kind = step.kind.rpartition(":")[2]
    return PlanStep(name, kind, step.family, "", inputs, {}, "", step.rows, [])


def _box(record: RunRecord, node: PlanNode, middle: Middle, odd: Mapping[str, int]) -> Box:
    assert node.step is not None
    step = record.steps[node.step.id]
    status = str(step.unknown.get("status", step.status))
    x, y = middle.corner(node)
    return Box(
        x, y, node.step.id, node.step.kind, step.family, status, SIGNS.get(status, "?"),
        step.seconds, step.rows, odd.get(node.step.id, 0),
    )  # fmt: skip


@dataclass(frozen=True)
class Middle:
    """The point of the drawing from which layers are placed."""

    way: Way
    x: float
    y: float

    def corner(self, node: PlanNode) -> tuple[float, float]:
        """Return the upper left corner of a step's box."""
        return self._point(self._start(node), node.at - self.way.across / 2)

    def edge(self, start: PlanNode, end: PlanNode) -> str:
        """Return the line from one node to one of the next layer as a path of SVG."""
        from_, to = self._start(start) + self.way.along, self._start(end)
        half = (to - from_) / 2
        points = [(from_, start.at), (from_ + half, start.at), (to - half, end.at), (to, end.at)]
        first, *curve = (self._text(*point) for point in points)
        path = f"M{first} C{' '.join(curve)}"
        if end.step is None:
            return f"{path} L{self._text(to + self.way.along, end.at)}"
        head = [(to - 6, end.at - 4), (to, end.at), (to - 6, end.at + 4)]
        tip, *others = (self._text(*point) for point in head)
        return f"{path} M{tip} L{' L'.join(others)}"

    def _start(self, node: PlanNode) -> float:
        return node.layer * (self.way.along + self.way.between_layers)

    def _point(self, along: float, across: float) -> tuple[float, float]:
        x, y = self.way.point(along, across)
        return x + self.x, y + self.y

    def _text(self, along: float, across: float) -> str:
        x, y = self._point(along, across)
        return f"{x:.1f},{y:.1f}"
