"""What the inputs of a step name, and whether it fits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmplug._kinds.signatures import Input, signature_of
from rmplug.artifacts import Value
from rmplug.errors import SpecError, did_you_mean, some
from rmplug.families import Composite, Known

from .graph import Gives, Ref
from .location import Place, shown
from .source import read_source
from .step_draft import Draft, input_place

Names = Mapping[str, Gives | None]
"""What each name stands for; None if that is unknown because of another problem."""


@dataclass(frozen=True)
class Edges:
    """What a step takes: artifacts by input, plain values by parameter (or ``seed``)."""

    given: dict[str, Gives]
    bound: dict[str, Ref]
    values: dict[str, Sequence[Any]]
    complete: bool
    """Whether everything that is named is known."""


def connect(draft: Draft, names: Names) -> Edges:
    """Find what the inputs of a step name; what does not fit is a problem."""
    signature = signature_of(draft.cls)
    taken = {entry.name: entry for entry in signature.inputs}
    edges = Edges(
        {}, {}, {}, all(names.get(r.step) for refs in draft.inputs.values() for r in refs)
    )
    for name, refs in draft.inputs.items():
        gives = [resolve(draft, name, ref, names) for ref in refs]
        first = gives[0]
        if name in taken:
            _check_edge(draft, taken[name], gives)
            if first is not None:
                edges.given[name] = first
        elif _can_bind(draft, name, gives) and first is not None:
            edges.bound[name] = refs[0]
            edges.values[name] = first.values or ()
    for name, entry in taken.items():
        if not entry.optional and name not in draft.inputs:
            draft.place.at("inputs", name).wrong(f"missing; it takes {entry}", key=True)
    return edges


def known(draft: Draft, names: Names) -> dict[str, list[Known]]:
    """What is known of all that the inputs of a step name."""
    found = {
        name: [(ref, _look_up(draft, ref, names)) for ref in refs]
        for name, refs in draft.inputs.items()
    }
    return {
        name: [
            Known(ref.step, gives.types[0], gives.columns, gives.metrics)
            for ref, gives in pairs
            if isinstance(gives, Gives)
        ]
        for name, pairs in found.items()
    }


def resolve(draft: Draft, name: str, ref: Ref, names: Names) -> Gives | None:
    """What a reference stands for; None when unknown because of another problem."""
    found = _look_up(draft, ref, names)
    if isinstance(found, str):
        input_place(draft.place.at("inputs"), name, ref).wrong(found)
        return None
    return found


def _look_up(draft: Draft, ref: Ref, names: Names) -> Gives | str | None:
    if ref.step not in names:
        known = [step for step in names if step != draft.id]
        hint = did_you_mean(ref.step, known)
        return f"no step {shown(ref.step)}{hint} (steps: {some(known, 8)})"
    gives = names[ref.step]
    found = gives.at(ref.column) if gives is not None else None
    return f"{ref}: {found}" if isinstance(found, str) else found


def _check_edge(draft: Draft, entry: Input, gives: Sequence[Gives | None]) -> None:
    inputs = draft.place.at("inputs")
    if not entry.many and entry.name in draft.lists:
        input_place(inputs, entry.name).wrong(f"{entry.name} takes one {entry}, not a list")
    for ref, found in zip(draft.inputs[entry.name], gives, strict=True):
        wrong = [kind for kind in found.types if not entry.takes(kind)] if found else []
        if wrong:
            message = f"{entry.name} takes {entry}, but {ref} gives {wrong[0].__name__}"
            input_place(inputs, entry.name, ref).wrong(message)


def _can_bind(draft: Draft, name: str, gives: Sequence[Gives | None]) -> bool:
    """Whether an input that the method does not take sets a parameter (or the seed)."""
    cls = draft.cls
    place = input_place(draft.place.at("inputs"), name)
    supplied = signature_of(cls).supplied
    if name not in cls.model_fields and not (name == "seed" and "seed" in supplied):
        place.wrong(_no_such_input(draft, name))
    elif name in draft.lists:
        place.wrong(f"{name} is a parameter: one value of a loop can set it, not a list")
    elif any(kind is not Value for found in gives if found for kind in found.types):
        place.wrong(f"{name} is a parameter: only a plain value of a loop can set it")
    elif name in draft.params:
        place.wrong(f"{name} is set twice: here and in params")
    elif name not in cls.model_fields:
        return _are_seeds(place, gives)
    else:
        return True
    return False


def _no_such_input(draft: Draft, name: str) -> str:
    known = [entry.name for entry in signature_of(draft.cls).inputs]
    hint = did_you_mean(name, [*known, *draft.cls.model_fields])
    takes = f"inputs: {', '.join(known)}" if known else "no inputs"
    return f"no such input{hint} ({draft.provider.kind!r} takes {takes})"


def _are_seeds(place: Place, gives: Sequence[Gives | None]) -> bool:
    values = [value for found in gives if found for value in found.values or ()]
    wrong = [v for v in values if not isinstance(v, int) or isinstance(v, bool) or v < 0]
    for value in wrong:
        place.wrong(f"a seed must be a whole number of 0 or more, not {shown(value)}")
    return not wrong


def needs(draft: Draft) -> Iterator[str]:
    """Every step that a step names in its inputs, or in those of steps inside it."""
    for refs in draft.inputs.values():
        yield from (ref.step for ref in refs)
    if issubclass(draft.cls, Composite):
        yield from _needs_inside(draft.params, draft.place.at("params", "steps").folder, ())


def _needs_inside(params: Mapping[str, Any], folder: Path, files: tuple[str, ...]) -> Iterator[str]:
    """What steps inside a loop name and is not inside it, as far as they can be read."""
    steps = params.get("steps")
    if isinstance(steps, str):
        name = os.path.realpath(folder / steps) if "\0" not in steps else ""
        if not name or name in files:
            return
        folder, files = Path(name).parent, (*files, name)
        steps = _steps_in(Path(name))
    if not isinstance(steps, dict):
        return
    carry = params.get("carry")
    inside = {*steps, "item", *(carry if isinstance(carry, dict) else ())}
    for step in steps.values():
        if isinstance(step, dict):
            inner = step.get("params")
            found = [_names(step.get("inputs"))]
            if isinstance(inner, dict):
                found.append(_needs_inside(inner, folder, files))
            yield from (name for names in found for name in names if name not in inside)


def _steps_in(file: Path) -> Any:
    try:
        data = read_source(file).data
    except SpecError:
        return None
    return data.get("steps") if isinstance(data, dict) else None


def _names(written: Any) -> Iterator[str]:
    if isinstance(written, str):
        yield Ref.parse(written).step
    elif isinstance(written, list | dict):
        inner: Iterable[Any] = written.values() if isinstance(written, dict) else written
        for value in inner:
            yield from _names(value)
