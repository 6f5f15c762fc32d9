"""More pairs than people labelled: pseudo-labels, and responses to other prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from rmplug import Features, Known, Pairs, Sampler


class PseudoLabel(Sampler):
    """Label pairs by a reward model where it is sure, and use that label.

    ``reward`` is a reward on ``data`` (its column ``margin``). The probability that chosen is
    better is ``sigmoid(margin / temperature)``; pairs in which it or its opposite reaches
    ``threshold`` are kept, with chosen and rejected exchanged where the model prefers rejected.
    With ``labelled`` pairs and ``labelled_reward``, the same model's reward on them, the
    temperature is the one with the least log-loss on these, so that the threshold is a probability
    that was checked; without them it is 1.

    Gives the pairs with ``confidence`` (0.5 to 1), ``relabelled`` (true where sides were exchanged)
    and ``weight`` where asked. Pairs below the threshold, and those without a finite margin, are
    counted and named. Source: Zhang et al. 2024, arXiv 2409.06903.
    """

    kind = "pseudo-label"
    requires = ("scipy",)
    extra = "tabular"

    threshold: Annotated[float, Field(gt=0.5, le=1)] = 0.8
    """The least probability of the label."""
    weigh: bool = False
    """Give each pair the weight ``2 * confidence - 1`` in place of its own."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for name in ("reward", "labelled_reward"):
            for reward in inputs.get(name, ()):
                lacking = reward.lacks("margin")
                yield from [(name, lacking)] if lacking else []

    def sample(
        self,
        data: Pairs,
        reward: Features,
        labelled: Pairs | None = None,
        labelled_reward: Features | None = None,
    ) -> Pairs:
        from ._augmentation import pseudo_labelled

        return pseudo_labelled(
            data,
            reward,
            labelled,
            labelled_reward,
            threshold=self.threshold,
            weigh=self.weigh,
        )


class OffTopic(Sampler):
    """Add pairs in which a response to the prompt beats a response to another prompt.

    A reward model that looks at style alone cannot tell them apart. Each pair gets ``partners``
    other pairs at random, of other groups (prompts); against the chosen and the rejected response
    of each, both of its own responses win: ``4 * partners`` pairs more, after the pair itself, with
    ids ``<id>/off-topic-1``, … and the group of their prompt. With ``ties``, pairs of two
    responses to other prompts are added too, each in both orders with half the weight, which is
    what a tie is to Bradley-Terry: ``2 * partners`` of them per pair (chosen against rejected of
    each partner).

    Gives the pairs with ``origin``: ``original``, ``off-topic`` or ``neutral``, and ``weight``; a
    ``margin`` column is missing in added pairs. Source: Liu et al. 2024, arXiv 2409.13156.
    """

    kind = "off-topic"

    partners: Annotated[int, Field(ge=1, le=16)] = 2
    """Number of other pairs that each pair is combined with."""
    ties: bool = False
    """Add pairs that neither response should win."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """The weight of an added pair; originals keep theirs, or 1."""

    def sample(self, data: Pairs, *, seed: int) -> Pairs:
        from ._augmentation import with_off_topic

        return with_off_topic(
            data, partners=self.partners, ties=self.ties, weight=self.weight, seed=seed
        )
