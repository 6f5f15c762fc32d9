"""Checks loops: what the steps inside may name, and what a loop gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rmplug._kinds.loops import ITEM, ForEach, Repeat
from rmplug._kinds.signatures import Input
from rmplug._store.fingerprint import key_of
from rmplug.artifacts import Artifact, Tabular, Value
from rmplug.errors import SpecError, some

from .graph import Gives, Graph, Node
from .inputs import resolve
from .location import Place
from .params import configured
from .source import read_source
from .step_draft import Draft, input_place

if TYPE_CHECKING:
    from .check import Check


def item_name(value: Any) -> str:
    """A plain value as the name of an item: ``3``, ``depth=2,seed=1``; a digest of a long one."""
    plain = value
    if isinstance(value, dict):
        plain = ",".join(f"{name}={inner}" for name, inner in value.items())
    text = str(plain)
    return text if len(text) <= 60 else key_of("item", {"value": value})[:21]


def composite_node(check: Check, draft: Draft, scope: Mapping[str, Gives | None]) -> Node | None:
    """Check a loop and the steps inside it, which are positioned like all others."""
    before = len(check.problems)
    step = configured(draft.cls, draft.place.at("params"), draft.params)
    given = {
        name: [resolve(draft, name, ref, scope) for ref in refs]
        for name, refs in draft.inputs.items()
    }
    known = {name: [g for g in found if g is not None] for name, found in given.items()}
    complete = step is not None and all(None not in found for found in given.values())
    inner = _inner_scope(draft, step, known) if complete else None
    place = _body_place(draft)
    if place is None:
        return None
    body = check.graph(place, {**scope, draft.id: None, **(inner or _unknown_scope(draft))})
    if inner is None or body is None or len(check.problems) > before:
        return None
    results = _results(draft, step, body, inner)
    if results is None:
        return None
    types = next(iter(results.values())).types if len(results) == 1 else (Artifact,)
    gives = Gives(types, results=results)
    body = Graph(body.nodes, tuple(ref for ref in body.outer if ref.step not in inner))
    return Node(
        draft.id, draft.provider, draft.params, step, draft.inputs, draft.lists, {}, gives, body
    )


def _inner_scope(draft: Draft, step: Any, given: dict[str, list[Gives]]) -> dict[str, Gives] | None:
    """The names that exist only inside the loop."""
    inputs = draft.place.at("inputs")
    if isinstance(step, Repeat):
        if set(given) != set(step.carry):
            inputs.wrong(f"must name what the first round takes: {', '.join(step.carry)}", key=True)
            return None
        return {name: found[0] for name, found in given.items()}
    for name in given:
        if name != "items":
            inputs.at(name).wrong(f"no such input; steps inside can name {name!r} directly")
            return None
    if (step.values is None) == ("items" not in given):
        draft.place.wrong("give either params.values or inputs.items, and not both", key=True)
        return None
    if step.values is None:
        return _items_scope(draft, given["items"])
    names = Counter(map(item_name, step.values))
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        draft.place.at("params", "values").wrong(f"{twice} is there {names[twice]} times")
        return None
    return {ITEM: Gives((Value,), values=step.values)}


def _items_scope(draft: Draft, found: list[Gives]) -> dict[str, Gives] | None:
    if "items" in draft.lists:
        types = tuple(dict.fromkeys(kind for gives in found for kind in gives.types))
        same = all(gives.columns == found[0].columns for gives in found)
        return {ITEM: Gives(types, found[0].columns if same else None)}
    if not all(issubclass(kind, Tabular) for kind in found[0].types):
        message = "one step must give a table with a column 'item'; else list steps"
        input_place(draft.place.at("inputs"), "items").wrong(message)
        return None
    return {ITEM: Gives(found[0].types)}


def _unknown_scope(draft: Draft) -> dict[str, None]:
    """The names inside a loop that is itself wrong, so that the steps inside are checked too."""
    carry = draft.params.get("carry")
    return dict.fromkeys([ITEM, *draft.inputs, *(carry if isinstance(carry, dict) else ())])


def _body_place(draft: Draft) -> Place | None:
    """Where the steps of a loop are written: here, or in a file of their own."""
    place = draft.place.at("params", "steps")
    if isinstance(place.value, dict):
        return place
    if not isinstance(place.value, str):
        return None
    try:
        source = read_source(place.folder / place.value)
    except SpecError as error:
        place.problems.extend(error.problems)
        return None
    place.problems.extend(source.problems)
    return Place(source, ("steps",), place.problems)


def _results(
    draft: Draft, step: Any, body: Graph, inner: Mapping[str, Gives]
) -> dict[str, Gives] | None:
    """What the loop gives, by name."""
    params = draft.place.at("params")
    carry = step.carry if isinstance(step, Repeat) else {}
    wanted = [(params.at("collect", index), name) for index, name in enumerate(step.collect)]
    wanted += [(params.at("carry", taken), name) for taken, name in carry.items()]
    missing = [(place, name) for place, name in wanted if name not in body.nodes]
    for place, name in missing:
        place.wrong(f"no step {name!r} inside the loop (steps: {some(body.nodes, 8)})")
    if missing:
        return None
    before = len(params.problems)
    for (place, name), _ in zip(wanted, step.collect, strict=False):
        _check_collected(place, name, body.nodes[name].gives)
    for taken, name in carry.items():
        _check_carried(params.at("carry", taken), name, body.nodes[name].gives, inner[taken])
    if len(params.problems) > before:
        return None
    results = {name: body.nodes[name].gives.collected for name in step.collect}
    results |= {taken: body.nodes[name].gives for taken, name in carry.items()}
    if isinstance(step, ForEach) and step.on_error == "collect-error":
        results["errors"] = Gives((Tabular,))
    return results


def _check_collected(place: Place, name: str, gives: Gives) -> None:
    kinds = [kind for kind in gives.types if not issubclass(kind, Tabular)]
    if kinds:
        place.wrong(f"{name!r} gives {kinds[0].__name__}; only tables can be collected")


def _check_carried(place: Place, name: str, later: Gives, first: Gives) -> None:
    taken = Input(name, first.types)
    wrong = [kind for kind in later.types if not taken.takes(kind)]
    if wrong:
        place.wrong(f"the first round takes {taken}, but {name!r} gives {wrong[0].__name__}")
