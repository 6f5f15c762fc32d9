"""Training sets in which some labels are the human's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rmplug import Features, Pairs, Sampler, Selection


class Swap(Sampler):
    """Give a training set in which the chosen pairs have the human's label and others the AI's.

    ``human`` and ``ai`` are two sources of labels with the same ids; a pair whose label in force is
    a tie (an id that the source lacks) is dropped and counted. ``chosen`` is one row of
    `candidates`, which is drawn again and must come out as it was counted (with ``membership``,
    that they were made of), or one route: a selection of ids. Inside a `for-each` over either it is
    ``item``. Rows keep their order and all columns; ``is_swapped`` marks the human's.
    """

    kind = "swap"
    requires = ("scipy",)
    extra = "tabular"

    rows: Annotated[int, Field(ge=1)] | None = None
    """Give at most this many pairs, drawn at random after ties are dropped; a candidate made with
    ``rows`` has its own."""

    def sample(
        self,
        human: Pairs,
        ai: Pairs,
        chosen: Selection | Features,
        membership: Features | None = None,
        *,
        seed: int,
    ) -> Pairs:
        from ._swap import make_training_set

        return make_training_set(human, ai, chosen, membership, self.rows, seed)
