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

from .location import Location
from .source import read_source

STEP_KEYS = ("kind", "inputs", "params")
STEP_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Draft:
    """A step with a valid envelope and a valid kind."""

    id: str
    location: Location
    provider: Provider
    inputs: dict[str, tuple[Ref, ...]]
    """The references of each input."""
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
            inside = {
                *self.body.location.value,
                "item",
                *(carry if isinstance(carry, dict) else ()),
            }
            for draft in self.body.drafts.values():
                yield from (name for name in draft.needs() if name not in inside)


@dataclass(frozen=True)
class DraftedSteps:
    """The steps that are written at a location; those that cannot be read are left out."""

    location: Location
    drafts: Mapping[str, Draft]


def read_steps(
    location: Location, registry: Registry, files: tuple[str, ...] = ()
) -> DraftedSteps | None:
    """Read the steps written at a location, with those inside loops. ``files`` are the real paths
    of the spec files that are being read already, further out."""
    if not isinstance(location.value, dict) or not location.value:
        location.wrong("must be a mapping of step ids to steps, with at least one step")
        return None
    if len(location.path) == 1:  # the steps of a file, not those written inside a loop
        file = os.path.realpath(location.source.file)
        if file in files:
            location.wrong("this file is inside itself: the loop would never end", key=True)
            return None
        files = (*files, file)
    drafts = {name: read_draft(location.at(name), name, registry, files) for name in location.value}
    return DraftedSteps(
        location, {name: draft for name, draft in drafts.items() if draft is not None}
    )


def read_draft(
    location: Location, name: str, registry: Registry, files: tuple[str, ...] = ()
) -> Draft | None:
    """Read the step written at a location, if it has a kind that can be used."""
    if not STEP_ID.fullmatch(name):
        message = f"step id {shown(name)}: use a letter, then letters, digits, '-' and '_'"
        location.wrong(message, key=True)
    if not isinstance(location.value, dict):
        location.wrong("a step is a mapping with kind, inputs and params")
        return None
    location.check_keys(STEP_KEYS)
    provider = _step_provider(location.at("kind"), registry)
    params = read_mapping(location.at("params"))
    if provider is None or params is None:
        return None
    inputs, lists = read_inputs(location.at("inputs"), provider)
    where = (
        _body_location(location.at("params", "steps"))
        if issubclass(provider.cls, Composite)
        else None
    )
    body = None if where is None else read_steps(where, registry, files)
    return Draft(name, location, provider, inputs, lists, params, body)


def _body_location(location: Location) -> Location | None:
    """Find where the steps of a loop are written: here, or in a file of their own."""
    if isinstance(location.value, dict):
        return location
    if not isinstance(location.value, str):
        return None
    try:
        source = read_source(location.folder / location.value)
    except SpecError as error:
        location.problems.extend(error.problems)
        return None
    location.problems.extend(source.problems)
    return Location(source, ("steps",), location.problems)


def read_mapping(location: Location) -> dict[str, Any] | None:
    """Read the parameters at a location, which may be left out."""
    value = {} if location.value is None else location.value
    if not isinstance(value, dict):
        location.wrong(f"must be a mapping of parameters, not {shown(value)}")
        return None
    return value


def read_provider(
    location: Location, kind: Any, registry: Registry, of: type[Step] = Step
) -> Provider | None:
    """Return the provider of the kind named at a location; missing libraries are a problem."""
    if not isinstance(kind, str):
        if kind is None:
            location.missing(_NO_KIND)
        else:
            location.wrong(f"must be text, not {shown(kind)}")
        return None
    try:
        provider = registry.find(kind, of)
    except PluginError as error:
        location.wrong(str(error))
        return None
    missing = missing_libraries(provider)
    if missing:
        location.wrong(missing)
    return provider


_NO_KIND = "missing; rmplug describe lists all kinds"


def _step_provider(location: Location, registry: Registry) -> Provider | None:
    provider = read_provider(location, location.value, registry)
    if provider is not None and issubclass(provider.cls, Engine | Observer):
        where = "engine" if issubclass(provider.cls, Engine) else "track"
        family = family_of(provider.cls).family
        location.wrong(
            f"{provider.kind!r} is an {family}: it belongs under {where!r}, not in steps"
        )
        return None
    return provider


def read_inputs(
    location: Location, provider: Provider
) -> tuple[dict[str, tuple[Ref, ...]], frozenset[str]]:
    """Read the references of each input, and the names of inputs that were written as lists."""
    written = location.value
    if isinstance(written, str | list):
        first = _first_input(provider.cls)
        if first is None:
            location.wrong(f"{provider.kind!r} takes no inputs")
            return {}, frozenset()
        written = {first: written}
    elif not isinstance(written, dict | None):
        location.wrong("must be a step id, a list of them, or a mapping of inputs")
    by_name = written if isinstance(written, dict) else {}
    inputs = {
        name: refs
        for name in by_name
        if (refs := _refs(input_location(location, name), by_name[name]))
    }
    return inputs, frozenset(name for name in inputs if isinstance(by_name[name], list))


def _first_input(cls: type[Step]) -> str | None:
    """Name the input that a bare list or id means."""
    if issubclass(cls, Composite):
        return "items"
    inputs = signature_of(cls).inputs
    return inputs[0].name if inputs else None


def _refs(location: Location, value: Any) -> tuple[Ref, ...]:
    items = value if isinstance(value, list) else [value]
    if items and all(isinstance(item, str) and item for item in items):
        return tuple(Ref.parse(item) for item in items)
    location.wrong("must name a step, or be a list of steps")
    return ()


def input_location(inputs: Location, name: str, ref: Ref | None = None) -> Location:
    """Find where an input is written, or a reference in it, in any of its three forms."""
    location = inputs.at(name) if isinstance(inputs.value, dict) else inputs
    written = location.value
    if ref is not None and isinstance(written, list) and str(ref) in written:
        return location.at(written.index(str(ref)))
    return location
