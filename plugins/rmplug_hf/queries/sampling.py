"""Responses sampled from a policy."""

from __future__ import annotations

from pydantic import Field

from rmplug import Pairs, Responses, RewardModel, Sampler


class SampleResponses(Sampler):
    """Sample responses of a policy: several for each distinct prompt.

    The cheap alternative to training a policy on a reward: `reward` scores the responses, and the
    best of N is the answer; `best-of-n` measures what that is worth by another reward, and at which
    divergence from the policy. ``policy`` is a `causal-lm`, or what a trainer of policies has
    trained. Ids are `<id of the first row with the prompt>/<number>`; `group` and `subset` are that
    row's, `model` names the policy. The same seed gives the same responses. A prompt that leaves no
    room for a response is left out and named; empty responses are kept and counted.
    """

    kind = "sample-responses"
    requires = ("torch", "transformers")
    extra = "hf"

    num_generations: int = Field(default=8, ge=1)
    """Responses sampled for each prompt."""
    max_completion_length: int = Field(default=256, ge=1)
    """Most tokens of a response."""
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of sampling: logits are divided by it."""

    def sample(self, policy: RewardModel, prompts: Pairs | Responses, *, seed: int) -> Responses:
        from ._sampling import sampled

        return Responses.stream(sampled(self, policy, prompts, seed))
