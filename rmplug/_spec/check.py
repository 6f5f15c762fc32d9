"""The run spec: read, and proved as far as it can be before anything heavy is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import Registry
from rmplug._kinds.signatures import signature_of
from rmplug._store.user_paths import user_path
from rmplug.errors import SpecError, shown
from rmplug.families import Composite, Engine, Observer, Step, family_of
from rmplug.known import Known

from .graph import Graph, Node, order
from .inputs import Edges, Names, connect
from .location import Enough, Location, Problems
from .params import check_values, configured, find_files
from .source import Source, parse_source, read_source
from .step_draft import (
    Draft,
    DraftedSteps,
    input_location,
    read_mapping,
    read_provider,
    read_steps,
)

MOST_ITEMS = 100
"""Items of a loop, those that set different parameters, of which each is asked what it gives and
what is wrong."""
TOP_KEYS = ("name", "seed", "engine", "track", "steps")


@dataclass(frozen=True)
class Spec:
    """A checked spec, which ``rmplug run`` can run."""

    name: str
    seed: int
    engine: Engine
    observers: tuple[Observer, ...]
    graph: Graph
    source: Source
    doubts: tuple[str, ...] = ()
    """The requirements that only running can check: ``column 'x' of words``."""


def load_spec(source: Source | Path | str, registry: Registry) -> Spec:
    """Read and check a spec; raise ``SpecError`` with all its problems."""
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
    """Return a checked spec from a file or from Python data, with ``key=value`` assignments
    applied."""
    if isinstance(spec, Mapping):
        text = json.dumps(dict(spec), indent=1, ensure_ascii=False, default=_written)
        source = parse_source(text, "<python>", Path.cwd())
    else:
        source = read_source(user_path(spec))
    for assignment in assignments:
        source.set(assignment)
    return load_spec(source, registry)


def _written(value: Any) -> Any:
    """Return a value of Python data as a spec writes it: NumPy's numbers plain, paths as text."""
    return value.item() if getattr(value, "ndim", None) == 0 else str(value)


class Check:
    """One pass over a spec: envelope, kinds, libraries, parameters, edges; gathers problems."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.problems = Problems()

    def run(self, source: Source) -> Spec | None:
        self.problems.extend(source.problems)
        top = Location(source, (), self.problems)
        top.check_keys(TOP_KEYS)
        file_name = source.file.rpartition("/")[2].split(".")[0]
        name = _plain(top.at("name"), str, file_name)
        seed = _plain(top.at("seed"), int, 0)
        if seed < 0:
            top.at("seed").wrong(f"must be 0 or more, not {seed}")
        engine = self._engine(top.at("engine"))
        observers = self._observers(top.at("track"))
        if "steps" not in top.value:
            top.at("steps").missing("missing; name at least one step")
            return None
        steps = read_steps(top.at("steps"), self.registry)
        # of two steps of one name, which one the others mean is not known
        twice = any(path[:-1] == ("steps",) for path in source.duplicates)
        graph = self.graph(steps, {}) if steps and not twice else None
        if engine is None or graph is None:
            return None
        return Spec(
            name, seed, engine, observers, graph, source, tuple(dict.fromkeys(doubts(graph)))
        )

    def graph(self, steps: DraftedSteps, scope: Names) -> Graph | None:
        """Connect steps; they can name each other and what is in ``scope``."""
        names: dict[str, Known | None] = {**scope, **dict.fromkeys(steps.location.value)}
        needs = {name: list(draft.needs()) for name, draft in steps.drafts.items()}
        ordered, cycles = order(needs)
        for cycle in cycles:
            message = f"steps need each other: {' → '.join(cycle)}"
            steps.location.at(cycle[0]).wrong(message, key=True)
        nodes: dict[str, Node] = {}
        for name in ordered:
            node = self._node(steps.drafts[name], names)
            if node is not None:
                nodes[name] = node
                names[name] = node.gives
        if len(nodes) < len(steps.location.value):
            return None
        outer = {r for node in nodes.values() for r in node.refs() if r.step not in nodes}
        return Graph(nodes, tuple(sorted(outer, key=str)))

    def _node(self, draft: Draft, names: Names) -> Node | None:
        if issubclass(draft.cls, Composite):
            from .loop_check import composite_node

            return composite_node(draft, names, self.graph)
        before = len(self.problems)
        edges = connect(draft, names)
        location = draft.location.at("params")
        params = find_files(draft.cls, location, draft.params)
        steps = _configured(draft, location, params, edges)
        if len(self.problems) > before or not edges.complete:
            return None
        _note_mistakes(draft, steps, edges.inputs)
        step = steps.get("")
        inputs = {name: refs for name, refs in draft.inputs.items() if name not in edges.bound}
        return Node(
            draft.id,
            draft.provider,
            params,
            step,
            inputs,
            draft.lists,
            edges.bound,
            _foreseen(draft, steps, edges.inputs),
            folder=draft.location.folder,
        )

    def _engine(self, location: Location) -> Engine | None:
        written = {} if location.value is None else location.value
        if not isinstance(written, dict):
            location.wrong(f"must be a mapping with kind and params, not {shown(written)}")
            return None
        if location.value is not None:
            location.check_keys(("kind", "params"))
        kind = written.get("kind", "core:local")
        step = self._beside(location.at("kind"), kind, location.at("params"), Engine)
        return step if isinstance(step, Engine) else None

    def _observers(self, location: Location) -> tuple[Observer, ...]:
        written = location.value or {}
        if not isinstance(written, dict):
            location.wrong(
                f"must be a mapping of observers to their parameters, not {shown(written)}"
            )
            return ()
        steps = [
            self._beside(location.at(kind), kind, location.at(kind), Observer) for kind in written
        ]
        return tuple(step for step in steps if isinstance(step, Observer))

    def _beside(
        self, location: Location, kind: Any, params: Location, family: type[Step]
    ) -> Step | None:
        """Read an engine or an observer, which are no steps."""
        provider = read_provider(location, kind, self.registry, family)
        written = read_mapping(params)
        if provider is None or written is None:
            return None
        if not issubclass(provider.cls, family):
            other = family_of(provider.cls).family
            location.wrong(f"{kind!r} is of the family {other!r}, not {family.family!r}", key=True)
            return None
        step = configured(provider.cls, params, find_files(provider.cls, params, written))
        for name, mistake in step.mistakes({}) if step else ():
            params.at(name).wrong(mistake)
        return step


def _plain(location: Location, kind: type[Any], default: Any) -> Any:
    """Read a value of the envelope that must be text or a whole number."""
    value = location.value if location.is_written else default
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    noun = {str: "text", int: "a whole number"}[kind]
    location.wrong(f"must be {noun}, not {shown(value)}")
    return default


def _configured(
    draft: Draft, location: Location, params: Mapping[str, Any], edges: Edges
) -> dict[str, Step]:
    """Return the step itself, under no words; if a loop sets parameters, one step for each of their
    values that are known, by these in words."""
    fields = {name: edges.values[name] for name in edges.bound if name in draft.cls.model_fields}
    if not fields:
        step = configured(draft.cls, location, params)
        return {} if step is None else {"": step}
    elsewhere = {name: input_location(draft.location.at("inputs"), name) for name in fields}
    return check_values(draft.cls, location, params, fields, elsewhere)


def _note_mistakes(
    draft: Draft, steps: Mapping[str, Step], inputs: Mapping[str, list[Known]]
) -> None:
    """Note the faults of a step, or of the steps of a loop's items: one of some items with the
    first of them."""
    asked = list(steps.items())[:MOST_ITEMS]
    found: dict[tuple[str, str], list[str]] = {}
    for words, step in asked:
        for fault in step.mistakes(inputs):
            found.setdefault(fault, []).append(words)
    for (name, mistake), items in found.items():
        of = "" if len(items) == len(asked) else f" (where the loop sets {items[0]:.100})"
        _written_at(draft, name).wrong(f"{mistake}{of}")


def doubts(graph: Graph) -> Iterator[str]:
    """List the requirements on the steps of a graph that only running can check."""
    for node in graph.nodes.values():
        yield from node.gives.doubts
        yield from doubts(node.body) if node.body is not None else ()


def _written_at(draft: Draft, name: str) -> Location:
    """Find where a parameter or input is written, or a part of it (``fields.chosen``)."""
    head, *rest = name.split(".")
    if head not in draft.inputs and all(
        entry.name != head for entry in signature_of(draft.cls).inputs
    ):
        return _part_of(draft.location.at("params", head), rest)
    location = input_location(draft.location.at("inputs"), head)
    return location.at(*map(int, rest)) if isinstance(location.value, list) else location


def _part_of(location: Location, names: Sequence[str]) -> Location:
    """Find a part of a value by its names; keys may have dots themselves (``plots.reward.loss.0``),
    and what is no part of it belongs to the last part that is."""
    value = location.value
    if isinstance(value, list) and names and names[0].isdecimal():
        return _part_of(location.at(int(names[0])), names[1:])
    keys = value if isinstance(value, dict) else ()
    lengths = [n for n in range(len(names), 0, -1) if ".".join(names[:n]) in keys]
    if not lengths:
        return location.at(*names) if isinstance(value, dict) else location
    return _part_of(location.at(".".join(names[: lengths[0]])), names[lengths[0] :])


def _foreseen(draft: Draft, steps: Mapping[str, Step], inputs: Mapping[str, list[Known]]) -> Known:
    """Foresee the result of a step, as far as its signature and the step itself determine it, or
    the steps of a loop's items where these are few and foresee the same."""
    signature = signature_of(draft.cls)
    each = [step.foresee(inputs) for step in list(steps.values())[:MOST_ITEMS]]
    same = 0 < len(steps) <= MOST_ITEMS and all(one == each[0] for one in each)
    foreseen = each[0] if same else Known()
    output = signature.output({name: results[0].types for name, results in inputs.items()})
    types = foreseen.types if foreseen.is_a(*signature.gives) else output
    return replace(
        foreseen,
        types=types,
        step=draft.id,
        made_by=steps.get(""),
        values=None,
        results={},
        uncollected=frozenset(),
    )
