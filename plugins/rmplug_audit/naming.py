"""The names of perturbations in a spec: what each entry of a list means to a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from pydantic import BeforeValidator

from rmplug import OneOrMore

if TYPE_CHECKING:
    from .perturbations.changes import Change
    from .perturbations.perturbation import Perturbation


def _not_alone(entries: Any) -> Any:
    if isinstance(entries, Mapping):
        raise ValueError(
            "perturbations is one mapping; write a list of names and mappings, such as "
            "[bold, {name: bullets, doses: [2]}]"
        )
    return entries


Entries: TypeAlias = Annotated[
    tuple[str | dict[str, Any], ...], OneOrMore, BeforeValidator(_not_alone)
]
"""Names of perturbations, and mappings with a ``name`` and parameters; one name may stand without a
list around it."""


class NamesPerturbations:
    """A step with perturbations among its parameters. A plugin's own are named by ``battery`` of a
    subclass, and are there beside the built-in ones."""

    battery: ClassVar[Sequence[type[Perturbation]]] = ()

    @classmethod
    def known_kinds(cls) -> dict[str, type[Perturbation]]:
        """Return all perturbations by name. Raises ValueError where two have one name."""
        from .perturbations.battery import BATTERY

        kinds: dict[str, type[Perturbation]] = {}
        for kind in (*BATTERY, *cls.battery):
            if kinds.setdefault(kind.name, kind) is not kind:
                raise ValueError(f"{kinds[kind.name]} and {kind} are both named {kind.name!r}")
        return kinds

    @classmethod
    def named_changes(cls, entries: Sequence[str | Mapping[str, Any]]) -> dict[str, Change]:
        """Return the changes that entries of a spec name, by their names in the results. Raises
        ValueError for a name that is not there, or is there twice."""
        from .perturbations.changes import named

        kinds = cls.known_kinds()
        changes: dict[str, Change] = {}
        for entry in entries:
            change = named(entry, kinds)
            if changes.setdefault(change.name, change) is not change:
                raise ValueError(f"{change.name} is named twice; give one of them a name with as")
        return changes
