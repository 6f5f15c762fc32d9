"""Make changed copies of responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from rmplug import Fit, Known, Pairs, Responses, RewardModel

from .choosing import ChoosesPerturbations, Inputs
from .counterfactual_columns import foreseen, taken


class Perturb(ChoosesPerturbations):
    """Make changed copies of responses: each with one change whose effect on quality is known.

    Gives the responses (of pairs as `to-responses` does, with `label`), each followed by its
    copies, with all columns of the original and `original` (the id of the row that was changed),
    `perturbation`, `theme`, `dose` (0 of an original) and `intention`: `keeps`, `improves` or
    `worsens` quality. The id of a copy is `<original>~<perturbation>~<dose>`. Of a conversation the
    last message is changed. A change is checked for what it did beyond its intention; copies that
    fail, and responses to which a change does not apply, are counted by change; so are those that
    are not English, for changes that write or look for English words.

    `exploits` are what `find-exploits` found; `generator` is a language model, for `paraphrase`;
    `more` are tables of `variants` or of another `perturb`, put below without what is there
    already; a copy whose id is taken gets one of the form above. A copy depends on the seed, the
    original and its perturbation, not on what else is asked for; that of a higher dose has what
    that of a lower one has, where places are drawn.
    """

    kind = "perturb"

    prompts: Annotated[int, Field(ge=1)] | None = None
    """The number of groups (prompts) to use, drawn at random; by default all."""

    def foresee(self, inputs: Inputs) -> Known:
        return foreseen(inputs["data"][0])

    def mistakes(self, inputs: Inputs) -> Iterable[tuple[str, str]]:
        yield from super().mistakes(inputs)
        yield from [("data", message) for message in taken(inputs["data"][0])]
        for number, table in enumerate(inputs.get("more", ())):
            lacking = table.lacks("original")
            yield from [(f"more.{number}", lacking)] if lacking else []

    def sample(
        self,
        data: Pairs | Responses,
        exploits: Fit | None = None,
        generator: RewardModel | None = None,
        more: Sequence[Responses] = (),
        *,
        seed: int,
    ) -> Responses:
        from ._counterfactuals import perturbed

        changes = self.changes_with(exploits, asking=generator is not None)
        tables = perturbed(data, changes, generator, more, self.prompts, seed)
        return Responses.stream(tables, data.name)
