"""The layout of a plan: steps in layers, each after the steps that it takes, with few crossings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rmplug.families import PlanStep

BOX, TALL, THREAD = 156, 48, 10
"""Pixels of a step's box along its text and across, and of an edge that passes a layer."""


@dataclass(frozen=True)
class Way:
    """Direction of the layers: a step's size along and across, and the gaps between steps."""

    along: int
    across: int
    between_layers: int
    beside: int
    down: bool

    def breadth(self, node: PlanNode) -> int:
        return self.across if node.step else THREAD

    def point(self, along: float, across: float) -> tuple[float, float]:
        return (across, along) if self.down else (along, across)


ACROSS = Way(BOX, TALL, 52, 16, down=False)
DOWN = Way(TALL, BOX, 36, 16, down=True)


@dataclass
class PlanNode:
    """Position of a step, or of the point where a long edge passes a layer."""

    layer: int
    step: PlanStep | None = None
    before: list[str] = field(default_factory=list)
    at: float = 0.0
    """The middle, across the way that layers follow each other."""


def parents(step: PlanStep, steps: Mapping[str, object]) -> list[str]:
    """Return the ids of the steps that a step takes, whatever column it takes of them."""
    taken = [entry for entries in step.inputs.values() for entry in entries]
    ids = [entry if entry in steps else entry.split(".")[0] for entry in taken]
    return [one for one in dict.fromkeys(ids) if one in steps and one != step.id]


def nodes(steps: Sequence[PlanStep]) -> dict[str, PlanNode]:
    """Return a node for every step, in the layer after its last parent; long edges have one in each
    layer between."""
    by_id = {step.id: step for step in steps}
    graph: dict[str, PlanNode] = {}
    for step in steps:
        taken = [one for one in parents(step, by_id) if one in graph]
        layer = max((graph[one].layer + 1 for one in taken), default=0)
        graph[step.id] = PlanNode(layer, step, taken)
    _pull_sources(graph)
    for key, node in list(graph.items()):
        node.before = [_threaded(graph, one, key, node.layer) for one in node.before]
    return graph


def _pull_sources(graph: dict[str, PlanNode]) -> None:
    """Move a step that takes nothing just before the first step that takes it."""
    for key, node in graph.items():
        after = [other.layer for other in graph.values() if key in other.before]
        if not node.before and after:
            node.layer = max(node.layer, min(after) - 1)


def _threaded(graph: dict[str, PlanNode], start: str, end: str, layer: int) -> str:
    """Add chained nodes between ``start`` and ``layer``; return the last of them."""
    last = start
    for between in range(graph[start].layer + 1, layer):
        key = f"{start}\0{end}\0{between}"
        graph[key] = PlanNode(between, None, [last])
        last = key
    return last


def arranged(graph: Mapping[str, PlanNode], way: Way = ACROSS) -> list[list[str]]:
    """Return keys by layer, each layer ordered by the mean position of its nodes' neighbours."""
    layers: list[list[str]] = [
        [] for _ in range(max((n.layer for n in graph.values()), default=0) + 1)
    ]
    for key, node in graph.items():
        layers[node.layer].append(key)
    for sweep in range(6):
        order = layers if sweep % 2 == 0 else layers[::-1]
        for layer in order:
            _stack(layers, graph, way)
            layer.sort(key=lambda key: _middle(key, graph, back=sweep % 2 == 0))
    _stack(layers, graph, way)
    return layers


def _middle(key: str, graph: Mapping[str, PlanNode], back: bool) -> float:
    joined = graph[key].before if back else [k for k, n in graph.items() if key in n.before]
    middles = [graph[one].at for one in joined]
    return sum(middles) / len(middles) if middles else graph[key].at


def _stack(layers: Sequence[Sequence[str]], graph: Mapping[str, PlanNode], way: Way) -> None:
    """Stack each layer around the common middle."""
    for layer in layers:
        at = -_total(layer, graph, way) / 2
        for key in layer:
            breadth = way.breadth(graph[key])
            graph[key].at = at + breadth / 2
            at += breadth + way.beside


def _total(layer: Sequence[str], graph: Mapping[str, PlanNode], way: Way) -> int:
    return sum(way.breadth(graph[key]) + way.beside for key in layer) - way.beside


def size_of(
    graph: Mapping[str, PlanNode], layers: Sequence[Sequence[str]], way: Way
) -> tuple[int, int]:
    """Return the pixels along and across."""
    along = len(layers) * (way.along + way.between_layers) - way.between_layers + 8
    return along, max(_total(layer, graph, way) for layer in layers) + 12
