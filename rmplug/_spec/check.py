"""The run spec: read, and proved as far as it can be before anything heavy is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import Registry
from rmplug._kinds.signatures import signature_of
from rmplug.errors import Problem, SpecError
from rmplug.families import Composite, Engine, Evaluator, Observer, Step, family_of

from .graph import Gives, Graph, Node, order
from .inputs import Edges, Names, connect, known, needs
from .location import Enough, Place, shown
from .params import check_values, configured, find_files
from .source import Source, parse_source, read_source
from .step_draft import Draft, input_place, read_draft, read_mapping, read_provider

TOP_KEYS = ("name", "seed", "engine", "track", "steps")


@dataclass(frozen=True)
class Spec:
    """A spec that was checked: what ``rmplug run`` runs."""

    name: str
    seed: int
    engine: Engine
    observers: tuple[Observer, ...]
    graph: Graph
    source: Source


def load_spec(source: Source | Path | str, registry: Registry) -> Spec:
    """Read and check a spec; raises ``SpecError`` with every problem found."""
    if not isinstance(source, Source):
        source = read_source(Path(source))
    check = Check(registry)
    spec: Spec | None = None
    with suppress(Enough):
        spec = check.run(source)
    if check.problems or spec is None:
        raise SpecError(sorted(check.problems, key=lambda p: (p.file, p.line, p.column)))
    return spec


def open_spec(
    spec: str | Path | Mapping[str, Any], assignments: Iterable[str], registry: Registry
) -> Spec:
    """A checked spec from a file or from Python data, with ``key=value`` assignments applied."""
    if isinstance(spec, Mapping):
        text = json.dumps(dict(spec), indent=1, ensure_ascii=False, default=_written)
        source = parse_source(text, "<python>", Path.cwd())
    else:
        source = read_source(Path(spec))
    for assignment in assignments:
        source.set(assignment)
    return load_spec(source, registry)


def _written(value: Any) -> Any:
    """How a value of Python data stands in a spec: numpy's numbers plain, paths as text."""
    return value.item() if getattr(value, "ndim", None) == 0 else str(value)


class Check:
    """One pass over a spec: envelope, kinds, libraries, parameters, edges; gathers problems."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.problems: list[Problem] = []
        self._files: list[str] = []

    def run(self, source: Source) -> Spec | None:
        self.problems.extend(source.problems)
        top = Place(source, (), self.problems)
        top.check_keys(TOP_KEYS)
        file_name = source.file.rpartition("/")[2].split(".")[0]
        name = _plain(top.at("name"), str, file_name)
        seed = _plain(top.at("seed"), int, 0)
        if seed < 0:
            top.at("seed").wrong(f"must be 0 or more, not {seed}")
        engine = self._engine(top.at("engine"))
        observers = self._observers(top.at("track"))
        if "steps" not in top.value:
            top.at("steps").wrong("missing; name at least one step")
            return None
        graph = self.graph(top.at("steps"), {})
        return Spec(name, seed, engine, observers, graph, source) if engine and graph else None

    def graph(self, place: Place, scope: Names) -> Graph | None:
        """The steps written at a place; names of ``scope`` can be used as well."""
        steps = place.value
        if not isinstance(steps, dict) or not steps:
            place.wrong("must be a mapping of step ids to steps, with at least one step")
            return None
        with self._inside(place) as again:
            if again:
                place.wrong("this file is inside itself: the loop would never end", key=True)
                return None
            found = {name: read_draft(place.at(name), name, self.registry) for name in steps}
            drafts = {name: draft for name, draft in found.items() if draft is not None}
            return self._connect(place, drafts, {**scope, **dict.fromkeys(steps)})

    @contextmanager
    def _inside(self, place: Place) -> Iterator[bool]:
        """Whether the steps of this file are being checked already, further out."""
        file = os.path.realpath(place.source.file) if len(place.path) == 1 else ""
        again = bool(file) and file in self._files
        self._files.append(file)
        yield again
        self._files.pop()

    def _connect(
        self, place: Place, drafts: Mapping[str, Draft], names: dict[str, Gives | None]
    ) -> Graph | None:
        ordered, cycles = order({name: list(needs(draft)) for name, draft in drafts.items()})
        for cycle in cycles:
            place.at(cycle[0]).wrong(f"steps need each other: {' → '.join(cycle)}", key=True)
        nodes: dict[str, Node] = {}
        for name in ordered:
            node = self._node(drafts[name], names)
            if node is not None:
                nodes[name] = node
                names[name] = node.gives
        if len(nodes) < len(place.value):
            return None
        outer = {r for node in nodes.values() for r in node.refs() if r.step not in nodes}
        return Graph(nodes, tuple(sorted(outer, key=str)))

    def _node(self, draft: Draft, names: Names) -> Node | None:
        if issubclass(draft.cls, Composite):
            from .loop_check import composite_node

            return composite_node(self, draft, names)
        before = len(self.problems)
        edges = connect(draft, names)
        place = draft.place.at("params")
        params = find_files(draft.cls, place, draft.params)
        step = _configured(draft, place, params, edges)
        if len(self.problems) > before or not edges.complete:
            return None
        for param, mistake in step.mistakes(known(draft, names)) if step else ():
            place.at(param).wrong(mistake)
        inputs = {name: refs for name, refs in draft.inputs.items() if name not in edges.bound}
        return Node(
            draft.id,
            draft.provider,
            params,
            step,
            inputs,
            draft.lists,
            edges.bound,
            _gives(draft.cls, step, edges.given),
            folder=draft.place.folder,
        )

    def _engine(self, place: Place) -> Engine | None:
        written = {"kind": "core:local"} if place.value is None else place.value
        if not isinstance(written, dict):
            place.wrong(f"must be a mapping with kind and params, not {shown(written)}")
            return None
        if place.value is not None:
            place.check_keys(("kind", "params"))
        step = self._beside(place.at("kind"), written.get("kind"), place.at("params"), Engine)
        return step if isinstance(step, Engine) else None

    def _observers(self, place: Place) -> tuple[Observer, ...]:
        written = place.value or {}
        if not isinstance(written, dict):
            place.wrong(f"must be a mapping of observers to their parameters, not {shown(written)}")
            return ()
        steps = [self._beside(place.at(kind), kind, place.at(kind), Observer) for kind in written]
        return tuple(step for step in steps if isinstance(step, Observer))

    def _beside(self, place: Place, kind: Any, params: Place, family: type[Step]) -> Step | None:
        """An engine or an observer, which stand beside the steps."""
        provider = read_provider(place, kind, self.registry, family)
        given = read_mapping(params)
        if provider is None or given is None:
            return None
        if not issubclass(provider.cls, family):
            other = family_of(provider.cls).family
            place.wrong(f"{kind!r} is of the family {other!r}, not {family.family!r}", key=True)
            return None
        return configured(provider.cls, params, find_files(provider.cls, params, given))


def _plain(place: Place, kind: type[Any], default: Any) -> Any:
    """A value of the envelope that is text or a whole number."""
    value = place.value if place.is_written else default
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    noun = {str: "text", int: "a whole number"}[kind]
    place.wrong(f"must be {noun}, not {shown(value)}")
    return default


def _configured(draft: Draft, place: Place, params: Mapping[str, Any], edges: Edges) -> Step | None:
    """The step itself; if a loop sets parameters, None, and it is checked for all their values."""
    fields = {name: edges.values[name] for name in edges.bound if name in draft.cls.model_fields}
    if not fields:
        return configured(draft.cls, place, params)
    elsewhere = {name: input_place(draft.place.at("inputs"), name) for name in fields}
    check_values(draft.cls, place, params, fields, elsewhere)
    return None


def _gives(cls: type[Step], step: Step | None, given: Mapping[str, Gives]) -> Gives:
    types = {name: gives.types for name, gives in given.items()}
    output = signature_of(cls).output(types)
    columns = step.columns({name: kinds[0] for name, kinds in types.items()}) if step else None
    metrics = step.metrics() if isinstance(step, Evaluator) else None
    return Gives(
        output,
        None if columns is None else tuple(columns),
        metrics=None if metrics is None else tuple(metrics),
    )
