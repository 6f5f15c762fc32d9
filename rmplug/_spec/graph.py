"""The steps of a spec as a checked graph: which step takes what from which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import Provider
from rmplug.artifacts import Artifact, Features, Fit, Identified, Value
from rmplug.errors import did_you_mean, some
from rmplug.families import Step

from .params import absolute_files

MAX_CYCLES = 20


@dataclass(frozen=True, slots=True)
class Ref:
    """What an input names: a step, or one of its columns or results (``step.column``)."""

    step: str
    column: str = ""

    @classmethod
    def parse(cls, text: str) -> Ref:
        step, _, column = text.partition(".")
        return cls(step, column)

    def __str__(self) -> str:
        return f"{self.step}.{self.column}" if self.column else self.step


@dataclass(frozen=True)
class Gives:
    """What is known before running about what a name stands for."""

    types: tuple[type[Artifact], ...]
    columns: tuple[str, ...] | None = None
    values: tuple[Any, ...] | None = None
    results: Mapping[str, Gives] = field(default_factory=dict)
    metrics: tuple[str, ...] | None = None

    @property
    def collected(self) -> Gives:
        """What a loop gives that puts these together over its items."""
        whole = self.at("")
        return Gives(self.types, metrics=whole.metrics if isinstance(whole, Gives) else None)

    def at(self, column: str) -> Gives | str:
        """What ``name.column`` stands for, or why there is no such thing."""
        if self.results:
            return self._result(column)
        if not column:
            return self
        if all(issubclass(kind, Value) for kind in self.types):
            return _entries(self.values or (), column)
        if not all(issubclass(kind, Identified | Fit) for kind in self.types):
            return f"{' | '.join(kind.__name__ for kind in self.types)} has no columns"
        if self.columns is not None and column not in self.columns:
            return (
                f"no column {column!r}{did_you_mean(column, self.columns)}"
                f" (it gives {some(self.columns, 8)})"
            )
        return Gives((Features,), (column,))

    def _result(self, column: str) -> Gives | str:
        name, _, rest = column.partition(".")
        if name in self.results:
            return self.results[name].at(rest)
        if len(self.results) == 1:
            return next(iter(self.results.values())).at(column)
        return f"name one of its results: {', '.join(self.results)}"


def _entries(values: Sequence[Any], name: str) -> Gives | str:
    """One entry of each item of a loop."""
    for value in values:
        if not isinstance(value, Mapping):
            return f"the item {value!r} has no entries"
        if name not in value:
            return f"an item has no entry {name!r}{did_you_mean(name, value)}"
    return Gives((Value,), values=tuple(value[name] for value in values))


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
    gives: Gives
    body: Graph | None = None
    folder: Path = Path()
    """Where relative paths of files start from."""

    def configured(self, values: Mapping[str, Any]) -> Step:
        """The step with the parameters that come from inputs filled in."""
        if self.step is not None and not values:
            return self.step
        cls = self.provider.cls
        return cls.model_validate({**self.params, **absolute_files(cls, values, self.folder)})

    def refs(self) -> Iterator[Ref]:
        """Everything this step takes, from its own scope or an outer one."""
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
        """The steps ``ids`` and all they need."""
        found: set[str] = set()
        waiting = list(ids)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(r.step for r in self.nodes[name].refs() if r.step in self.nodes)
        return found

    def dependents(self, name: str) -> set[str]:
        """The step and every step that uses what it gives, directly or not."""
        found = {name}
        for node in self.nodes.values():
            if any(ref.step in found for ref in node.refs()):
                found.add(node.id)
        return found


def order(needs: Mapping[str, Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The steps, each after its needs, and cycles of steps that need each other."""
    left = {name: [need for need in found if need in needs] for name, found in needs.items()}
    cycles: list[list[str]] = []
    while True:
        try:
            return list(TopologicalSorter(left).static_order()), cycles
        except CycleError as error:
            cycle = error.args[1][::-1]
        cycles.append(cycle)
        for name in cycle if len(cycles) < MAX_CYCLES else left:
            left[name] = []
