"""The inputs of a step: their references resolved, their types checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from rmplug._kinds.signatures import Input, signature_of
from rmplug.artifacts import Artifact, Features, Value
from rmplug.errors import did_you_mean, shown, some
from rmplug.known import Known, Ref, UnknownName

from .location import Location
from .step_draft import Draft, input_location

Names = Mapping[str, Known | None]
"""The result behind each name; None if it is unknown because of another problem."""


@dataclass(frozen=True)
class Edges:
    """The inputs of a step: artifacts by input, plain values by parameter (or ``seed``)."""

    inputs: dict[str, list[Known]]
    bound: dict[str, Ref]
    values: dict[str, Sequence[Any]]
    complete: bool
    """True if every reference was resolved."""


def connect(draft: Draft, names: Names) -> Edges:
    """Resolve the inputs of a step; an input that does not fit is a problem."""
    signature = signature_of(draft.cls)
    taken = {entry.name: entry for entry in signature.inputs}
    resolved = {name: resolve(draft, name, names) for name in draft.inputs}
    edges = Edges({}, {}, {}, all(None not in each for each in resolved.values()))
    for name, each in resolved.items():
        if name in taken:
            _check_edge(draft, taken[name], each, names)
            edges.inputs[name] = [result for result in each if result is not None]
        elif _can_bind(draft, name, each) and each[0] is not None:
            edges.bound[name] = draft.inputs[name][0]
            edges.values[name] = each[0].values or ()
    for name, entry in taken.items():
        if not entry.optional and name not in draft.inputs:
            draft.location.at("inputs", name).missing(f"missing; it takes {entry}")
    return edges


def resolve(draft: Draft, name: str, names: Names) -> list[Known | None]:
    """Resolve the references of an input; None for one that is unknown because of a problem."""
    return [_resolve(draft, name, ref, names) for ref in draft.inputs[name]]


def _resolve(draft: Draft, name: str, ref: Ref, names: Names) -> Known | None:
    if ref.step in names and names[ref.step] is None:
        return None
    others = (
        names if ref.step in names else {step: names[step] for step in names if step != draft.id}
    )
    try:
        result = ref.resolve(cast(Mapping[str, Known], others))  # what is None was taken out above
    except UnknownName as error:
        input_location(draft.location.at("inputs"), name, ref).wrong(str(error))
        return None
    return replace(result, step=ref.step if result.column or not ref.column else str(ref))


def _check_edge(draft: Draft, entry: Input, gives: Sequence[Known | None], names: Names) -> None:
    inputs = draft.location.at("inputs")
    if not entry.many and entry.name in draft.lists:
        input_location(inputs, entry.name).wrong(f"{entry.name} takes one {entry}, not a list")
        return
    if entry.many and Features in entry.types:
        _check_repeated(inputs, entry.name, draft.inputs[entry.name])
    for ref, result in zip(draft.inputs[entry.name], gives, strict=True):
        wrong = [each for each in result.types if not entry.takes(each)] if result else []
        if wrong:
            message = f"{entry.name} takes {entry}, but {ref} gives {wrong[0].__name__}"
            fitting = [step for step, known in names.items() if _fits(entry, known)]
            message += f"; what fits here: {some(fitting)}" if fitting else ""
            input_location(inputs, entry.name, ref).wrong(message)


def _fits(entry: Input, known: Known | None) -> bool:
    types = () if known is None else known.types
    return bool(types) and all(each is not Artifact and entry.takes(each) for each in types)


def _check_repeated(inputs: Location, name: str, refs: Sequence[Ref]) -> None:
    """Note each table of features that a list names again."""
    for index, ref in enumerate(refs):
        if ref in refs[:index]:
            location = inputs.at(name) if isinstance(inputs.value, dict) else inputs
            location.at(index).wrong(f"{ref} is named twice; name each step once")


def _can_bind(draft: Draft, name: str, gives: Sequence[Known | None]) -> bool:
    """Check whether an input that the method does not take sets a parameter (or the seed)."""
    cls = draft.cls
    location = input_location(draft.location.at("inputs"), name)
    supplied = signature_of(cls).supplied
    if name not in cls.model_fields and not (name == "seed" and "seed" in supplied):
        inputs = [entry.name for entry in signature_of(cls).inputs]
        location.unknown(_no_such_input(draft, name), [*inputs, *cls.model_fields], key=False)
    elif name in draft.lists:
        location.wrong(f"{name} is a parameter: one value of a loop can set it, not a list")
    elif any(each is not Value for result in gives if result for each in result.types):
        location.wrong(f"{name} is a parameter: only a plain value of a loop can set it")
    elif name in draft.params:
        location.wrong(f"{name} is set twice: here and in params")
    elif name not in cls.model_fields:
        return _are_seeds(location, gives)
    else:
        return True
    return False


def _no_such_input(draft: Draft, name: str) -> str:
    inputs = [entry.name for entry in signature_of(draft.cls).inputs]
    hint = did_you_mean(name, [*inputs, *draft.cls.model_fields])
    takes = f"inputs: {', '.join(inputs)}" if inputs else "no inputs"
    return f"no such input{hint} ({draft.provider.kind!r} takes {takes})"


def _are_seeds(location: Location, gives: Sequence[Known | None]) -> bool:
    values = [value for result in gives if result for value in result.values or ()]
    wrong = [v for v in values if not isinstance(v, int) or isinstance(v, bool) or v < 0]
    for value in wrong:
        location.wrong(f"a seed must be a whole number of 0 or more, not {shown(value)}")
    return not wrong
