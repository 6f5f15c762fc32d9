"""Use variants of responses that data have already as changed copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from rmplug import Known, Names, OneOrMore, Responses, Sampler

from .choosing import Inputs
from .counterfactual_columns import foreseen, taken
from .perturbations.perturbation import Intention

if TYPE_CHECKING:
    from typing import Self

Cell: TypeAlias = str | StrictBool | StrictInt | StrictFloat
Cells: TypeAlias = Mapping[str, Cell]


class Variants(Sampler):
    """Use variants of responses that data have already as changed copies of each other.

    Two responses belong together that have the same prompt (or `case`, where there is one) and the
    same values in `within`. One of them is the original; the others are its copies. Written as `by:
    style, base: concise`, every other style is a change of that name, or, with `order`, a dose of
    one change named after the column. Written as `base: {label: 1, style: concise}, variants:
    {wrong-in-good-style: {label: 0, style: markdown}}`, rows with these values are the copies.

    Gives the rows under their own ids, each original followed by its copies, with all columns and
    `original`, `perturbation`, `theme`, `dose` and `intention`, as `perturb` does. Rows that are
    neither, and copies without an original, are dropped and counted.
    """

    kind = "variants"

    by: str | None = None
    """The column that tells variants apart, such as `style` of RM-Bench."""
    base: Cell | Annotated[Cells, Field(min_length=1)]
    """The value of an original in that column, or its values in several."""
    variants: Mapping[str, Annotated[Cells, Field(min_length=1)]] | None = None
    """Names of changes, each with the values of its rows in the columns of `base`."""
    order: Annotated[tuple[Cell, ...], OneOrMore] = ()
    """The values that are doses 1, 2, … of one change; rows with others are left out."""
    within: Names = ("label", "model")
    """The columns in which an original and its copies are the same, where the data have them and
    `base` does not name them."""
    theme: str = ""
    """The name of what is exploited; by default that of the column, or `substance`."""
    intention: Intention = "keeps"
    """What the change does to quality: `keeps`, `improves` or `worsens`."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        several = isinstance(self.base, Mapping)
        if several == (self.by is not None) or several != (self.variants is not None):
            raise ValueError(
                "give by (a column) and base (the value of an original), or base (values of "
                "several columns) and variants (names with the values of their rows)"
            )
        if self.order and (several or self.base in self.order):
            raise ValueError("order goes with by, and lists the values of copies without base")
        for name, cells in (self.variants or {}).items():
            if not name.strip():
                raise ValueError("a change in variants has no name")
            if set(cells) != set(self.columns):
                raise ValueError(f"{name} needs values of {', '.join(self.columns)}, as base has")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that tell variants apart."""
        return tuple(self.base) if isinstance(self.base, Mapping) else (self.by or "",)

    def foresee(self, inputs: Inputs) -> Known:
        return foreseen(inputs["data"][0])

    def mistakes(self, inputs: Inputs) -> Iterable[tuple[str, str]]:
        data = inputs["data"][0]
        for name in self.columns:
            lacking = data.lacks(name)
            yield from [("by" if self.by else "base", lacking)] if lacking else []
        yield from [("data", message) for message in taken(data)]

    def sample(self, data: Responses) -> Responses:
        from ._variants import variants_of

        return Responses(variants_of(self, data), data.name)
