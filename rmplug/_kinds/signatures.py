"""Inputs and outputs of a step, read from the annotations of its method."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from rmplug.artifacts import Artifact, Checkpoint, RewardModel
from rmplug.errors import PluginError
from rmplug.families import Composite, Engine, Observer, Step, family_of

from .loops import ForEach, Repeat

KIND = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SUPPLIED = frozenset({"seed", "directory", "work", "progress", "plan", "seen"})
SEQUENCES = (Sequence, list)
"""Annotations of an input that takes a list of steps."""


@dataclass(frozen=True)
class Input:
    """One input of a step: its name, the artifact types it takes, and how many of them."""

    name: str
    types: tuple[type[Artifact], ...]
    many: bool = False
    optional: bool = False

    def takes(self, type_: type[Artifact]) -> bool:
        """Check whether an artifact of this type fits: a checkpoint can be used as a reward model,
        and a type that is not known yet may fit."""
        if RewardModel in self.types and issubclass(type_, Checkpoint):
            return True
        return type_ is Artifact or issubclass(type_, self.types)

    def __str__(self) -> str:
        names = " | ".join(each.__name__ for each in self.types)
        return f"list of {names}" if self.many else names


@dataclass(frozen=True)
class Signature:
    """The inputs of a step, the types of its result, and the arguments that the core supplies
    (``SUPPLIED``)."""

    inputs: tuple[Input, ...]
    gives: tuple[type[Artifact], ...]
    like: str | None
    supplied: frozenset[str]

    def output(self, types: Mapping[str, tuple[type[Artifact], ...]]) -> tuple[type[Artifact], ...]:
        """Return the possible types of the result for these possible types of the inputs;
        ``Artifact`` where only running decides it."""
        if self.like is not None:
            return types.get(self.like, (Artifact,))
        return self.gives if len(self.gives) == 1 else (Artifact,)

    def __str__(self) -> str:
        takes = ", ".join(
            f"{entry.name}: {entry}{' (optional)' if entry.optional else ''}"
            for entry in self.inputs
        )
        gives = " | ".join(each.__name__ for each in self.gives)
        return f"{takes or 'nothing'} → {gives}"


@cache
def signature_of(cls: type[Step]) -> Signature:
    """Read the signature of a step class; raise ``PluginError`` for one that breaks the rules."""
    if issubclass(cls, Engine | Observer | Composite):
        return Signature((), (Artifact,) if issubclass(cls, Composite) else (), None, frozenset())
    method = getattr(cls, cls.method, None)
    if method is None:
        raise PluginError(
            f"{cls.__name__} has no method {cls.method!r}, the work of a {cls.family}"
        )
    try:
        hints = typing.get_type_hints(method)
    except NameError as error:
        raise PluginError(
            f"{cls.__name__}.{cls.method}: {error}; import artifact types at module level"
        ) from error
    parameters = list(inspect.signature(method).parameters.values())[1:]
    inputs = tuple(
        _read_input(cls, parameter, hints.get(parameter.name))
        for parameter in parameters
        if parameter.kind is not parameter.KEYWORD_ONLY
    )
    gives = hints.get("return")
    return Signature(inputs, _read_output(cls, gives), _same_as(hints), _supplied(cls, parameters))


def _supplied(cls: type[Step], parameters: Sequence[inspect.Parameter]) -> frozenset[str]:
    supplied = frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    if supplied - SUPPLIED:
        raise PluginError(
            f"{cls.__name__}.{cls.method} asks for {', '.join(sorted(supplied - SUPPLIED))}; "
            f"keyword-only parameters are supplied by the core: {', '.join(sorted(SUPPLIED))}"
        )
    return supplied


def _read_input(cls: type[Step], parameter: inspect.Parameter, hint: Any) -> Input:
    where = f"{cls.__name__}.{cls.method}"
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        written = str(parameter).partition(":")[0]
        raise PluginError(f"{where} takes {written}; name each input, or take one Sequence")
    if parameter.name in cls.model_fields:
        raise PluginError(f"{where}: {parameter.name} is also a parameter; name one of them anew")
    members = [member for member in _union(hint) if member is not type(None)]
    many = any(typing.get_origin(member) in SEQUENCES for member in members)
    taken: list[type[Artifact]] = []
    for member in members:
        sequence = typing.get_origin(member) in SEQUENCES
        inner = typing.get_args(member)[0] if sequence else member
        taken.extend(_artifacts(cls, parameter.name, inner))
    optional = parameter.default is not inspect.Parameter.empty
    return Input(parameter.name, tuple(taken), many, optional)


def _read_output(cls: type[Step], hint: Any) -> tuple[type[Artifact], ...]:
    return tuple(each for member in _union(hint) for each in _artifacts(cls, "return", member))


def _artifacts(cls: type[Step], name: str, hint: Any) -> list[type[Artifact]]:
    members = list(_union(hint))
    if members and all(isinstance(m, type) and issubclass(m, Artifact) for m in members):
        return members
    written = "has no annotation" if hint is None else f"is annotated {hint!r}"
    raise PluginError(
        f"{cls.__name__}.{cls.method}: {name} {written}; write artifact types, such as "
        "Pairs, Pairs | Responses or Sequence[Features]"
    )


def _union(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, TypeVar):
        return hint.__constraints__ or (hint.__bound__,)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(inner for member in typing.get_args(hint) for inner in _union(member))
    return (hint,)


def _same_as(hints: Mapping[str, Any]) -> str | None:
    """Find the parameter whose type variable is also the return type of the method."""
    gives = hints.get("return")
    if not isinstance(gives, TypeVar):
        return None
    return next((name for name, hint in hints.items() if hint is gives and name != "return"), None)


def check_class(cls: Any, family: type[Step]) -> None:
    """Check that a plugin's class can be used as a kind of ``family``, or raise ``PluginError``."""
    if not (isinstance(cls, type) and issubclass(cls, family)):
        raise PluginError(f"{cls!r} is not a class of family {family.family!r}")
    kind = getattr(cls, "kind", None)
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        raise PluginError(f"{cls.__name__}.kind is {kind!r}; use lower case, digits and hyphens")
    if not (cls.__doc__ or "").strip() or cls.__doc__ == family_of(cls).__doc__:
        raise PluginError(f"{cls.__name__} has no docstring; its first line is shown to users")
    if issubclass(cls, Composite) and not issubclass(cls, ForEach | Repeat):
        raise PluginError(f"{cls.__name__} must be a subclass of ForEach or Repeat")
    signature_of(cls)
    missing = sorted(cls.__abstractmethods__)
    if issubclass(cls, Engine) and cls.map is Engine.map:
        missing.append("map")
    if missing:
        needs = f"which a step of the family {family_of(cls).family!r} needs"
        raise PluginError(f"{cls.__name__} has no method {missing[0]!r}, {needs}")
