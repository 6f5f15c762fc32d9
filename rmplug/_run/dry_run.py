"""The plan of a run, step by step; nothing is executed and nothing heavy is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rmplug._kinds.loops import ForEach, Repeat
from rmplug._spec.graph import Graph, Node
from rmplug.artifacts import Artifact
from rmplug.families import Composite, ModelLoader, family_of

from .loop_items import items_of
from .loop_results import Part, collected_key, errors_key, loop_handle
from .plan_view import outline
from .scope import Handle, Scope

if TYPE_CHECKING:
    from .session import Session

UNKNOWN = "it needs results that are not there yet"


@dataclass(frozen=True)
class Planned:
    """The planned work of one step."""

    id: str
    kind: str
    family: str
    action: Literal["reuse", "run", "load"]
    why: str = ""


def plan_graph(session: Session, graph: Graph, scope: Scope, selected: set[str]) -> list[Planned]:
    """Plan the selected steps of a graph in the order of work."""
    return list(_each_planned(session, graph, scope, selected))


def has_work(session: Session, graph: Graph, scope: Scope, selected: set[str]) -> bool:
    """Check whether any of the selected steps has to run; stop planning at the first that has."""
    return any(step.action == "run" for step in _each_planned(session, graph, scope, selected))


def _each_planned(
    session: Session, graph: Graph, scope: Scope, selected: set[str]
) -> Iterator[Planned]:
    return (_planned(session, n, scope) for n in graph.nodes.values() if n.id in selected)


def _planned(session: Session, node: Node, scope: Scope) -> Planned:
    kind, family = node.provider.kind, family_of(node.provider.cls).family
    if any(ref.step not in scope.handles for ref in node.refs()):
        return Planned(node.id, kind, family, "run", UNKNOWN)
    scope.plan[node.id] = outline(node)
    if isinstance(node.step, Composite):
        return _planned_loop(session, node, scope)
    prepared = session.prepare(node, scope)
    scope.handles[node.id] = Handle(prepared.key, node.gives.types[0])
    if isinstance(prepared.step, ModelLoader):
        return Planned(node.id, kind, family, "load", "where it is used")
    why = session.reuse.reason_to_run(prepared)
    return Planned(node.id, kind, family, "run" if why else "reuse", why)


def _planned_loop(session: Session, node: Node, scope: Scope) -> Planned:
    step = node.step
    kind = node.provider.kind
    if isinstance(step, ForEach):
        ends = _for_each_ends(session, node, step, scope)
    else:
        assert isinstance(step, Repeat)
        ends = _repeat_ends(session, node, step, scope)
    if ends is None:
        return Planned(node.id, kind, "composite", "run", UNKNOWN)
    results = _foreseen(step, ends)
    if results:
        scope.handles[node.id] = loop_handle(node, results)
    to_do = sum(end.has_work for end in ends)
    noun = "items" if isinstance(step, ForEach) else "rounds"
    if to_do:
        return Planned(node.id, kind, "composite", "run", f"{to_do} of {len(ends)} {noun}")
    return Planned(node.id, kind, "composite", "reuse", f"all {len(ends)} {noun}")


@dataclass(frozen=True)
class End:
    """One item or round, planned to its end."""

    name: str
    scope: Scope
    has_work: bool


def _end(
    session: Session,
    node: Node,
    scope: Scope,
    name: str,
    wanted: Sequence[str],
    more: Mapping[str, Handle],
) -> End:
    assert node.body is not None
    inner = scope.inner(node.body.outer, more)
    planned = plan_graph(session, node.body, inner, node.body.needed(wanted))
    return End(name, inner, any(step.action == "run" for step in planned))


def _for_each_ends(session: Session, node: Node, step: ForEach, scope: Scope) -> list[End] | None:
    """Plan each item; return None where the table that holds the items does not exist yet."""
    if step.values is None and "items" not in node.lists:
        key = scope.at(node.inputs["items"][0]).key
        if not session.results.has(key):
            return None
    return [
        _end(session, node, scope, item.name, step.collect, item.handles)
        for item in items_of(session.results, node, step, scope, store=False)
    ]


def _repeat_ends(session: Session, node: Node, step: Repeat, scope: Scope) -> list[End]:
    """Plan each round; after one whose result cannot be foreseen, the later rounds need work as
    well."""
    carried: dict[str, Handle] | None = {
        name: scope.at(refs[0]) for name, refs in node.inputs.items()
    }
    wanted = [*step.collect, *step.carry.values()]
    ends: list[End] = []
    for number in range(1, step.rounds + 1):
        if carried is None:
            ends.append(End(str(number), Scope(), True))
            continue
        end = _end(session, node, scope, str(number), wanted, carried)
        ends.append(end)
        known = end.scope.knows(step.carry.values())
        carried = {n: end.scope.result(g) for n, g in step.carry.items()} if known else None
    return ends


def _foreseen(step: ForEach | Repeat, ends: Sequence[End]) -> dict[str, Handle]:
    """Return the results of the loop, so that later steps can be planned; none where any of them
    cannot be known yet."""
    carried = step.carry if isinstance(step, Repeat) else {}
    wanted = [*step.collect, *carried.values()]
    if not all(end.scope.knows(wanted) for end in ends):
        return {}
    column = "round" if isinstance(step, Repeat) else "item"
    results: dict[str, Handle] = {}
    for name in step.collect:
        parts: list[Part] = [(end.name, end.scope.result(name)) for end in ends]
        results[name] = Handle(collected_key(name, column, parts), parts[0][1].type)
    for name, result in carried.items():
        results[name] = ends[-1].scope.result(result)
    if isinstance(step, ForEach) and step.on_error == "collect-error":
        results["errors"] = Handle(errors_key([]), Artifact)
    return results
