"""The check of loops: the names that the inner steps may use, and the results of a loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from rmplug._kinds.loops import ITEM, ForEach, Repeat
from rmplug._kinds.signatures import Input
from rmplug.artifacts import Artifact, Tabular, Value
from rmplug.errors import some
from rmplug.known import Known, Ref, UnknownName

from .graph import Graph, Node
from .inputs import Names, resolve
from .location import Location
from .params import configured
from .step_draft import Draft, DraftedSteps, input_location


def item_name(value: Any) -> str:
    """Name an item by its plain value: ``3``, ``depth=2,seed=1``; a long one by a digest."""
    plain = value
    if isinstance(value, dict):
        plain = ",".join(f"{name}={inner}" for name, inner in value.items())
    text = str(plain)
    if len(text) <= 60:
        return text
    from rmplug._store.fingerprint import key_of

    return key_of("item", {"value": value})[:21]


def composite_node(
    draft: Draft, scope: Names, graph_of: Callable[[DraftedSteps, Names], Graph | None]
) -> Node | None:
    """Check a loop and the steps inside it, which ``graph_of`` connects."""
    problems = draft.location.problems
    before = len(problems)
    step = configured(draft.cls, draft.location.at("params"), draft.params)
    inputs = {name: resolve(draft, name, scope) for name in draft.inputs}
    resolved = {
        name: [entry for entry in each if entry is not None] for name, each in inputs.items()
    }
    complete = step is not None and all(None not in each for each in inputs.values())
    inner = _inner_scope(draft, step, resolved) if complete else None
    if draft.body is None:
        return None
    body = graph_of(draft.body, {**scope, draft.id: None, **(inner or _unknown_scope(draft))})
    if inner is None or body is None or len(problems) > before:
        return None
    results = _results(draft, step, body, inner)
    if results is None:
        return None
    types = next(iter(results.values())).types if len(results) == 1 else (Artifact,)
    uncollected = frozenset(body.nodes) - {name.partition(".")[0] for name in results}
    gives = Known(types, step=draft.id, results=results, uncollected=uncollected)
    body = Graph(body.nodes, tuple(ref for ref in body.outer if ref.step not in inner))
    return Node(
        draft.id, draft.provider, draft.params, step, draft.inputs, draft.lists, {}, gives, body
    )


def _inner_scope(
    draft: Draft, step: Any, inputs: dict[str, list[Known]]
) -> dict[str, Known] | None:
    """List the names that exist only inside the loop."""
    written = draft.location.at("inputs")
    if isinstance(step, Repeat):
        if set(inputs) != set(step.carry):
            written.wrong(
                f"must name what the first round takes: {', '.join(step.carry)}", key=True
            )
            return None
        return {name: results[0] for name, results in inputs.items()}
    for name in inputs:
        if name != "items":
            written.at(name).wrong(f"no such input; steps inside can name {name!r} directly")
            return None
    if (step.values is None) == ("items" not in inputs):
        draft.location.wrong("give either params.values or inputs.items, and not both", key=True)
        return None
    if step.values is None:
        return _items_scope(draft, inputs["items"])
    names = Counter(map(item_name, step.values))
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        draft.location.at("params", "values").wrong(f"{twice} is there {names[twice]} times")
        return None
    return {ITEM: Known((Value,), values=step.values)}


def _items_scope(draft: Draft, items: list[Known]) -> dict[str, Known] | None:
    if "items" in draft.lists:
        types = tuple(dict.fromkeys(each for item in items for each in item.types))
        same = all(item.columns == items[0].columns for item in items)
        return {ITEM: Known(types, items[0].columns if same else None)}
    if not all(issubclass(each, Tabular) for each in items[0].types):
        message = "one step must give a table with a column 'item'; else list steps"
        input_location(draft.location.at("inputs"), "items").wrong(message)
        return None
    return {ITEM: Known(items[0].types)}


def _unknown_scope(draft: Draft) -> dict[str, None]:
    """List the names inside a loop that is itself wrong, so that its steps are checked too."""
    carry = draft.params.get("carry")
    return dict.fromkeys([ITEM, *draft.inputs, *(carry if isinstance(carry, dict) else ())])


def _results(
    draft: Draft, step: Any, body: Graph, inner: Mapping[str, Known]
) -> dict[str, Known] | None:
    """Return the results of the loop, by name."""
    params = draft.location.at("params")
    carry = step.carry if isinstance(step, Repeat) else {}
    wanted = [(params.at("collect", index), name) for index, name in enumerate(step.collect)]
    wanted += [(params.at("carry", taken), name) for taken, name in carry.items()]
    before = len(params.problems)
    gives = {name: _given(location, name, body) for location, name in wanted}
    if len(params.problems) > before:
        return None
    for (location, name), _ in zip(wanted, step.collect, strict=False):
        _check_collected(location, name, gives[name])
    for taken, name in carry.items():
        _check_carried(params.at("carry", taken), name, gives[name], inner[taken])
    if len(params.problems) > before:
        return None
    results = {name: gives[name].collected for name in step.collect}
    results |= {taken: gives[name] for taken, name in carry.items()}
    if isinstance(step, ForEach) and step.on_error == "collect-error":
        results["errors"] = Known((Tabular,))
    return results


def _given(location: Location, name: str, body: Graph) -> Known:
    """Return what a step inside gives, or a result of a loop inside (``rounds.accuracy``)."""
    ref = Ref.parse(name)
    if ref.step not in body.nodes:
        location.wrong(f"no step {ref.step!r} inside the loop (steps: {some(body.nodes, 8)})")
        return Known()
    inner = body.nodes[ref.step].gives
    try:
        if ref.column and not inner.results:
            raise UnknownName(f"{ref.step!r} is no loop; name the step as a whole")
        return inner.at(ref.column)
    except UnknownName as error:
        location.wrong(f"{name}: {error}")
        return Known()


def _check_collected(location: Location, name: str, gives: Known) -> None:
    wrong = [each for each in gives.types if not issubclass(each, Tabular)]
    if wrong:
        location.wrong(f"{name!r} gives {wrong[0].__name__}; only tables can be collected")


def _check_carried(location: Location, name: str, later: Known, first: Known) -> None:
    taken = Input(name, first.types)
    wrong = [each for each in later.types if not taken.takes(each)]
    if wrong:
        location.wrong(f"the first round takes {taken}, but {name!r} gives {wrong[0].__name__}")
