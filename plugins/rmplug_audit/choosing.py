"""The choice of perturbations in a spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from pydantic import field_validator, model_validator

from rmplug import DataError, Fit, Known, Sampler

from .naming import Entries, NamesPerturbations

if TYPE_CHECKING:
    from typing import Self

    from .perturbations.changes import Change
    from .perturbations.perturbation import Perturbation

Inputs: TypeAlias = Mapping[str, Sequence[Known]]


class ChoosesPerturbations(NamesPerturbations, Sampler):
    """A sampler with perturbations among its parameters."""

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
    def _named(cls, entries: Entries | None) -> dict[str, Change]:
        if entries is None:
            entries = tuple(name for name, kind in cls.known_kinds().items() if not kind.given)
        return cls.named_changes(entries)

    def changes(self, asking: bool) -> list[Change]:
        """Return the changes that are asked for, those that need a language model only if
        ``asking`` or named."""
        from .perturbations.changes import composed, named

        own = self._named(self.perturbations)
        chosen = [c for c in own.values() if asking or self.perturbations or not c.asks]
        kinds = self.known_kinds()
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
        found = read_exploits(exploits.directory, self._kinds_of(exploits)) if exploits else []
        names = {change.name for change in chosen}
        twice = next((change.name for change in found if change.name in names), None)
        if twice:
            raise DataError(
                f"an exploit and a perturbation are both named {twice!r}; give the perturbation "
                "another name with as"
            )
        return [*chosen, *found]

    @classmethod
    def _kinds_of(cls, exploits: Fit) -> dict[str, type[Perturbation]]:
        """Return the perturbations by which a search wrote down what it found, and those of this
        step."""
        made_by = exploits.made_by
        theirs = made_by.known_kinds() if issubclass(made_by, NamesPerturbations) else {}
        return {**cls.known_kinds(), **theirs}

    def mistakes(self, inputs: Inputs) -> Iterable[tuple[str, str]]:
        if not inputs.get("generator"):
            for change in self.changes(asking=False):
                if change.asks:
                    message = f"{change.name} asks a language model; give the input generator"
                    yield "perturbations", message
