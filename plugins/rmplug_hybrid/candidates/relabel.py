"""Labels that a reward gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from rmplug import Features, Known, Pairs, Sampler


class Relabel(Sampler):
    """Label pairs by a reward: the response with the higher one becomes the chosen one.

    Gives the same pairs in their order, ``lead`` (by how much the reward prefers chosen: 0 or more,
    in its units) and ``relabelled`` (whether chosen and rejected were exchanged). A ``margin`` of
    the data, the lead that people saw, is left out: it is not of this label. Columns about one of
    the two (``chosen_model`` with ``rejected_model``, ``ratings.chosen.x`` with
    ``ratings.rejected.x``) are exchanged too. A model's preferences become one of two sources of
    labels in this way.
    """

    kind = "relabel"

    by: str = "margin"
    """The column of ``reward`` that is above 0 where the first response is better."""
    gap: Annotated[float, Field(ge=0)] = 0.0
    """Margins up to this one are ties."""
    ties: Literal["drop", "keep", "error"] = "drop"
    """The treatment of ties, and of pairs that have no margin: leave them out and count them, keep
    them as they are and count them, or stop."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for one in inputs["reward"]:
            lacking = one.lacks(self.by)
            yield from [("by", lacking)] if lacking else []

    def sample(self, data: Pairs, reward: Features) -> Pairs:
        from ._labels import relabel_pairs

        return relabel_pairs(data, reward, self.by, self.gap, self.ties)
