"""A step as it was written: its id, kind, inputs and parameters."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rmplug._kinds.registry import Provider, Registry, missing_libraries
from rmplug._kinds.signatures import signature_of
from rmplug.errors import PluginError, SpecError, shown
from rmplug.families import Composite, Engine, Observer, Step, family_of
from rmplug.known import Ref

from .location import Place
from .source import read_source

STEP_KEYS = ("kind", "inputs", "params")
STEP_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Draft:
    """A step whose envelope and kind are known to be right."""

    id: str
    place: Place
    provider: Provider
    inputs: dict[str, tuple[Ref, ...]]
    """What each input names."""
    lists: frozenset[str]
    """The inputs that were written as lists."""
    params: dict[str, Any]
    body: DraftedSteps | None = None
    """The steps inside a loop."""

    @property
    def cls(self) -> type[Step]:
        return self.provider.cls

    def needs(self) -> Iterator[str]:
        """Name every step that this one needs: in its inputs, or in those of steps inside it."""
        for refs in self.inputs.values():
            yield from (ref.step for ref in refs)
        if self.body is not None:
            carry = self.params.get("carry")
            inside = {*self.body.place.value, "item", *(carry if isinstance(carry, dict) else ())}
            for draft in self.body.drafts.values():
                yield from (name for name in draft.needs() if name not in inside)


@dataclass(frozen=True)
class DraftedSteps:
    """The steps that are written at a place; those that cannot be read are left out."""

    place: Place
    drafts: Mapping[str, Draft]


def read_steps(
    place: Place, registry: Registry, files: tuple[str, ...] = ()
) -> DraftedSteps | None:
    """Read the steps written at a place, with those inside loops. ``files`` are the real paths of
    the spec files that are being read already, further out."""
    if not isinstance(place.value, dict) or not place.value:
        place.wrong("must be a mapping of step ids to steps, with at least one step")
        return None
    if len(place.path) == 1:  # the steps of a file, not those written inside a loop
        file = os.path.realpath(place.source.file)
        if file in files:
            place.wrong("this file is inside itself: the loop would never end", key=True)
            return None
        files = (*files, file)
    drafts = {name: read_draft(place.at(name), name, registry, files) for name in place.value}
    return DraftedSteps(place, {name: draft for name, draft in drafts.items() if draft is not None})


def read_draft(
    place: Place, name: str, registry: Registry, files: tuple[str, ...] = ()
) -> Draft | None:
    """Read the step written at a place, if it has a kind that can be used."""
    if not STEP_ID.fullmatch(name):
        message = f"step id {shown(name)}: use a letter, then letters, digits, '-' and '_'"
        place.wrong(message, key=True)
    if not isinstance(place.value, dict):
        place.wrong("a step is a mapping with kind, inputs and params")
        return None
    place.check_keys(STEP_KEYS)
    provider = _step_provider(place.at("kind"), registry)
    params = read_mapping(place.at("params"))
    if provider is None or params is None:
        return None
    inputs, lists = read_inputs(place.at("inputs"), provider)
    where = (
        _body_place(place.at("params", "steps")) if issubclass(provider.cls, Composite) else None
    )
    body = None if where is None else read_steps(where, registry, files)
    return Draft(name, place, provider, inputs, lists, params, body)


def _body_place(place: Place) -> Place | None:
    """Find where the steps of a loop are written: here, or in a file of their own."""
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


def read_mapping(place: Place) -> dict[str, Any] | None:
    """The parameters at a place: none are written as nothing at all."""
    value = {} if place.value is None else place.value
    if not isinstance(value, dict):
        place.wrong(f"must be a mapping of parameters, not {shown(value)}")
        return None
    return value


def read_provider(
    place: Place, kind: Any, registry: Registry, of: type[Step] = Step
) -> Provider | None:
    """Who gives the kind named at a place; it is a problem if its libraries are not there."""
    if not isinstance(kind, str):
        written = kind is not None
        place.wrong(f"must be text, not {shown(kind)}" if written else _NO_KIND, key=not written)
        return None
    try:
        provider = registry.find(kind, of)
    except PluginError as error:
        place.wrong(str(error))
        return None
    missing = missing_libraries(provider)
    if missing:
        place.wrong(missing)
    return provider


_NO_KIND = "missing; rmplug describe lists all kinds"


def _step_provider(place: Place, registry: Registry) -> Provider | None:
    provider = read_provider(place, place.value, registry)
    if provider is not None and issubclass(provider.cls, Engine | Observer):
        where = "engine" if issubclass(provider.cls, Engine) else "track"
        family = family_of(provider.cls).family
        place.wrong(f"{provider.kind!r} is an {family}: it belongs under {where!r}, not in steps")
        return None
    return provider


def read_inputs(
    place: Place, provider: Provider
) -> tuple[dict[str, tuple[Ref, ...]], frozenset[str]]:
    """What each input names, and which inputs were written as lists."""
    written = place.value
    if isinstance(written, str | list):
        first = _first_input(provider.cls)
        if first is None:
            place.wrong(f"{provider.kind!r} takes no inputs")
            return {}, frozenset()
        written = {first: written}
    elif not isinstance(written, dict | None):
        place.wrong("must be a step id, a list of them, or a mapping of inputs")
    given = written if isinstance(written, dict) else {}
    found = {name: refs for name in given if (refs := _refs(input_place(place, name), given[name]))}
    return found, frozenset(name for name in found if isinstance(given[name], list))


def _first_input(cls: type[Step]) -> str | None:
    """The input that a bare list or id means."""
    if issubclass(cls, Composite):
        return "items"
    inputs = signature_of(cls).inputs
    return inputs[0].name if inputs else None


def _refs(place: Place, value: Any) -> tuple[Ref, ...]:
    items = value if isinstance(value, list) else [value]
    if items and all(isinstance(item, str) and item for item in items):
        return tuple(Ref.parse(item) for item in items)
    place.wrong("must name a step, or be a list of steps")
    return ()


def input_place(inputs: Place, name: str, ref: Ref | None = None) -> Place:
    """Where an input was written, and a reference in it, whichever of the three forms it has."""
    place = inputs.at(name) if isinstance(inputs.value, dict) else inputs
    written = place.value
    if ref is not None and isinstance(written, list) and str(ref) in written:
        return place.at(written.index(str(ref)))
    return place
