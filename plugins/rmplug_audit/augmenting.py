"""Add pairs with changed copies to the training data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from rmplug import Fit, Known, Pairs, RewardModel

from .choosing import ChoosesPerturbations, Inputs


class Augment(ChoosesPerturbations):
    """Add pairs in which changed copies win, lose or tie as they should, for training again.

    For each pair, `copies` changes (a perturbation with a dose) are drawn at random from those that
    apply: each perturbation once, and at its other doses only after all others. Where a change
    keeps quality, chosen beats the changed rejected response and the changed chosen beats rejected
    (`keeps: wins`), or each response ties with its copy (`keeps: ties`: both orders, with half the
    weight each, which is what a tie is to Bradley-Terry). Where it worsens quality, chosen and
    rejected beat their copies; where it improves quality, the copies win.
    `exploits` are what `find-exploits` found, and count as perturbations.

    Gives the pairs, each followed by those added, with `origin` (`original`, or the name of the
    change) and `weight`; a `margin` column is missing in added pairs. Their ids are
    `<id>~<change>~<dose>/<number>`. The texts are those that `perturb` makes with the same seed.
    """

    kind = "augment"

    copies: Annotated[int, Field(ge=1, le=64)] = 2
    """The number of changes per pair."""
    keeps: Literal["wins", "ties", "both"] = "wins"
    """Where a change keeps quality: better responses win whatever the change, the original and the
    copy tie, or both."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """The weight of an added pair, in that of the pair that it is made of (1 where it has none),
    which keeps its own."""

    def foresee(self, inputs: Inputs) -> Known:
        columns = inputs["data"][0].columns
        if columns is None:
            return Known()
        return Known(columns=list(dict.fromkeys([*columns, "weight", "origin"])))

    def mistakes(self, inputs: Inputs) -> Iterable[tuple[str, str]]:
        yield from super().mistakes(inputs)
        if self.perturbations == () and not inputs.get("exploits"):
            yield "perturbations", "there is no change to make; name one, or give exploits"

    def sample(
        self,
        data: Pairs,
        exploits: Fit | None = None,
        generator: RewardModel | None = None,
        *,
        seed: int,
    ) -> Pairs:
        from ._augmentation import augmented

        changes = self.changes_with(exploits, asking=generator is not None)
        return Pairs.stream(augmented(self, data, changes, generator, seed), data.name)
