"""The steps of a spec as a checked graph: each edge is an input of a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import Provider
from rmplug.families import Step
from rmplug.known import Known, Ref

from .params import absolute_files

MAX_CYCLES = 20


@dataclass(frozen=True)
class Node:
    """One checked step of a spec."""

    id: str
    provider: Provider
    params: Mapping[str, Any]
    step: Step | None
    inputs: Mapping[str, tuple[Ref, ...]]
    lists: frozenset[str]
    bound: Mapping[str, Ref]
    gives: Known
    body: Graph | None = None
    folder: Path = Path()
    """The folder from which relative paths of files start."""

    def configured(self, values: Mapping[str, Any]) -> Step:
        """Configure the step with the parameters that come from inputs."""
        if self.step is not None and not values:
            return self.step
        cls = self.provider.cls
        return cls.model_validate({**self.params, **absolute_files(cls, values, self.folder)})

    def refs(self) -> Iterator[Ref]:
        """List every reference of this step, in its own scope or an outer one."""
        for refs in self.inputs.values():
            yield from refs
        yield from self.bound.values()
        if self.body is not None:
            yield from self.body.outer


@dataclass(frozen=True)
class Graph:
    """Steps in an order in which they can run."""

    nodes: Mapping[str, Node]
    outer: tuple[Ref, ...] = ()

    def needed(self, ids: Sequence[str]) -> set[str]:
        """Find the steps ``ids`` (of a loop maybe one result: ``rounds.kept``) and all they
        need."""
        names: set[str] = set()
        waiting = [Ref.parse(name).step for name in ids]
        while waiting:
            name = waiting.pop()
            if name not in names:
                names.add(name)
                waiting.extend(r.step for r in self.nodes[name].refs() if r.step in self.nodes)
        return names

    def dependents(self, name: str) -> set[str]:
        """Find the step and every step that uses its result, directly or not."""
        names = {name}
        for node in self.nodes.values():
            if any(ref.step in names for ref in node.refs()):
                names.add(node.id)
        return names


def order(needs: Mapping[str, Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Order the steps, each after its needs, and list cycles of steps that need each other."""
    left = {name: [need for need in own if need in needs] for name, own in needs.items()}
    cycles: list[list[str]] = []
    while True:
        try:
            return list(TopologicalSorter(left).static_order()), cycles
        except CycleError as error:
            cycle = error.args[1][::-1]
        cycles.append(cycle)
        for name in cycle if len(cycles) < MAX_CYCLES else left:
            left[name] = []
