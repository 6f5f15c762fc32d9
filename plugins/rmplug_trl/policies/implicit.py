"""The reward that a trained policy implies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from rmplug import Known, ModelLoader, RewardModel


class ImplicitReward(ModelLoader):
    """Take a trained policy as a reward model, by what the training changed.

    The reward of a response is `beta * (log p_policy - log p_reference)`, natural logarithms summed
    over its tokens (Rafailov et al. 2023, equation 5, without the term that depends on the prompt
    alone and drops out of margins): the reward that DPO learns. ``policy`` is what `dpo` has
    trained, ``reference`` the policy before. `causal-lm` with `reference` is the same for models in
    folders. Both must read conversations as the same tokens.
    """

    kind = "implicit-reward"
    requires = ("torch", "transformers")
    extra = "hf"

    beta: float = Field(default=0.1, gt=0)
    """The reward of a difference of one in log-probability: the `beta` of the training."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("reward",))

    def load(self, policy: RewardModel, reference: RewardModel) -> RewardModel:
        from ._implicit import Implicit

        return Implicit(policy, reference, self.beta)
