"""The choice of perturbations in a spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from pydantic import field_validator, model_validator

from rmplug import DataError, Fit, Known, OneOrMore, Sampler

if TYPE_CHECKING:
    from typing import Self

    from .perturbations.changes import Change
    from .perturbations.perturbation import Perturbation

Inputs: TypeAlias = Mapping[str, Sequence[Known]]
Entries = Annotated[tuple[str | dict[str, Any], ...], OneOrMore]


class ChoosesPerturbations(Sampler):
    """A sampler with perturbations among its parameters. A plugin's own are named by ``battery`` of
    a subclass, and are there beside the built-in ones."""

    battery: ClassVar[Sequence[type[Perturbation]]] = ()

    perturbations: Entries | None = None
    """Names, or mappings with a `name`, parameters of that perturbation, `doses` (a list of whole
    numbers) and `as` (another name in the results); by default all that need neither parameters
    nor, without the input `generator`, a language model."""
    compositions: tuple[tuple[str, str], ...] = ()
    """Pairs of names that are made one after the other, at the doses that both have."""

    @field_validator("perturbations")
    @classmethod
    def _known(cls, entries: Entries | None) -> Entries | None:
        cls._named(entries)
        return entries

    @model_validator(mode="after")
    def _composable(self) -> Self:
        self.changes(asking=True)
        return self

    @classmethod
    def _known_kinds(cls) -> dict[str, type[Perturbation]]:
        from .perturbations.battery import BATTERY

        kinds: dict[str, type[Perturbation]] = {}
        for kind in (*BATTERY, *cls.battery):
            if kinds.setdefault(kind.name, kind) is not kind:
                raise ValueError(f"{kinds[kind.name]} and {kind} are both named {kind.name!r}")
        return kinds

    @classmethod
    def _named(cls, entries: Entries | None) -> dict[str, Change]:
        from .perturbations.changes import named

        kinds = cls._known_kinds()
        if entries is None:
            entries = tuple(name for name, kind in kinds.items() if not kind.given)
        changes: dict[str, Change] = {}
        for entry in entries:
            change = named(entry, kinds)
            if changes.setdefault(change.name, change) is not change:
                raise ValueError(f"{change.name} is named twice; give one of them a name with as")
        return changes

    def changes(self, asking: bool) -> list[Change]:
        """Return the changes that are asked for, those that need a language model only if
        ``asking`` or named."""
        from .perturbations.changes import composed, named

        own = self._named(self.perturbations)
        chosen = [c for c in own.values() if asking or self.perturbations or not c.asks]
        kinds = self._known_kinds()
        for pair in self.compositions:
            first, second = (own.get(name) or named(name, kinds) for name in pair)
            chosen.append(composed(first, second))
        names = [change.name for change in chosen]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"{twice} is named twice")
        return chosen

    def changes_with(self, exploits: Fit | None, asking: bool) -> list[Change]:
        """Return the changes that are asked for, and those that a search found. Raises DataError
        where both have one name: their copies would have the same ids."""
        from .perturbations.programs import read_exploits

        chosen = self.changes(asking)
        found = read_exploits(exploits.directory) if exploits else []
        names = {change.name for change in chosen}
        twice = next((change.name for change in found if change.name in names), None)
        if twice:
            raise DataError(
                f"an exploit and a perturbation are both named {twice!r}; give the perturbation "
                "another name with as"
            )
        return [*chosen, *found]

    def mistakes(self, inputs: Inputs) -> Iterable[tuple[str, str]]:
        if not inputs.get("generator"):
            for change in self.changes(asking=False):
                if change.asks:
                    message = f"{change.name} asks a language model; give the input generator"
                    yield "perturbations", message
