"""Trainers that sample responses of a policy and learn from their rewards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from rmplug import Checkpoint, Known, Pairs, Progress, Responses, RewardModel

from .settings import GroupSettings, ReinforcementSettings

if TYPE_CHECKING:
    from ._reinforcement import ReinforcementTraining


class Reinforcement(ReinforcementSettings):
    """The work that `grpo`, `rloo` and `online-dpo` share."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report weights that are not one for each reward model, models that have no score, and a
        training of quantized weights."""
        yield from self.quantized_mistakes(inputs.get("policy", ()), "policy")
        rewards = inputs.get("reward", ())
        if self.reward_weights is not None and len(self.reward_weights) != len(rewards):
            yield (
                "reward_weights",
                f"there are {len(rewards)} reward models and {len(self.reward_weights)} weights; "
                "give one for each",
            )
        for place, model in enumerate(rewards):
            if model.outputs is not None and not model.outputs:
                yield f"reward.{place}", f"{model.step} has no score to learn from"

    def train(
        self,
        policy: RewardModel,
        reward: Sequence[RewardModel],
        prompts: Pairs | Responses,
        *,
        seed: int,
        directory: Path,
        work: Path,
        progress: Progress,
    ) -> Checkpoint:
        from ._policy import policy_of

        made = policy_of(policy.reload())
        training = self.kitchen()(self, made, reward, prompts, seed, work, progress)
        return Checkpoint(directory, type(self), training.run(directory))

    def kitchen(self) -> type[ReinforcementTraining]:
        """Return the class that does the work."""
        from ._reinforcement import ReinforcementTraining

        return ReinforcementTraining

    @property
    def own(self) -> dict[str, Any]:
        """The parameters of this trainer alone, under TRL's names."""
        raise NotImplementedError


class Grouped(Reinforcement, GroupSettings):
    """The work that `grpo` and `rloo` share."""

    @model_validator(mode="after")
    def _check_batch(self) -> Grouped:
        rows = self.per_device_train_batch_size * self.gradient_accumulation_steps
        if rows % self.num_generations:
            raise ValueError(
                f"a step has {rows} responses (per_device_train_batch_size times "
                f"gradient_accumulation_steps), which is no multiple of num_generations "
                f"({self.num_generations})"
            )
        return self


class Grpo(Grouped):
    """Train a policy on rewards by group relative policy optimisation (GRPO, Shao et al. 2024).

    ``policy`` is a `causal-lm`, or what a trainer of policies has trained; ``reward`` a reward
    model, or a list of them; ``prompts`` any data, of which each distinct prompt is used once per
    epoch. For each prompt the policy samples `num_generations` responses; the advantage of each is
    its reward less the mean of its group, which raises or lowers the probability of its tokens.

    The policy reads prompts in its own format, each reward model reads conversations in its own, by
    the code that `reward` scores with. `beta` weighs the distance (KL) from the policy before the
    training. Gives a policy that `causal-lm` loads.

    Numbers over the steps: `mean_reward` (weighted sum of the reward models), `loss`, `kl` (nats
    per token, with `beta`), `entropy`, `mean_length` (tokens) and `clipped_share` of responses;
    `prompts`, `steps`, `parameters`, `parameters-trained`. A reward that rises says nothing of
    quality: evaluate the policy's responses by another model, and beside their length. A kill costs
    the steps since the last checkpoint. PPO, with a value network, is no longer in TRL.
    """

    kind = "grpo"
    renamed: ClassVar[dict[str, str]] = {
        **GroupSettings.renamed,
        "normalize_advantages": "scale_rewards",
    }

    beta: float = Field(default=0.0, ge=0)
    """Weight of the divergence (KL) from the policy before the training in the loss; 0 needs no
    second model."""
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = (
        "dapo"
    )
    """How token losses become one number, by TRL's names: `dapo` over all tokens of a step (no bias
    by length), `grpo` per response first, `dr_grpo` over a constant…"""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Divide advantages by the standard deviation of rewards in a group, in a step, or not at
    all."""

    @property
    def own(self) -> dict[str, Any]:
        """The parameters of this trainer alone, under TRL's names."""
        return {"loss_type": self.loss_type, "scale_rewards": self.scale_rewards}


class Rloo(Grouped):
    """Train a policy on rewards by REINFORCE with a leave-one-out baseline (RLOO).

    After Ahmadian et al. (2024). As `grpo`, which see for inputs and numbers, with these
    differences: the advantage of a response is its reward less the mean of the other responses to
    its prompt, and `beta` times the divergence (KL) from the policy before the training is taken
    off the reward. It needs no value network: take it, or `grpo`, where a recipe asks for PPO,
    which is no longer in TRL.
    """

    kind = "rloo"
    former_kinds: ClassVar[dict[str, str]] = {
        "ppo": (
            "TRL removed its PPO trainer as unmaintained; write kind: rloo or kind: grpo, which "
            "learn from the same rewards without a value network"
        )
    }
    renamed: ClassVar[dict[str, str]] = {
        **GroupSettings.renamed,
        "scale_rewards": "normalize_advantages",
    }

    beta: float = Field(default=0.05, ge=0)
    """Weight of the divergence (KL) from the policy before the training in the reward; 0 needs no
    second model."""
    normalize_advantages: bool = False
    """Divide advantages by their standard deviation in a step."""
    reward_clip_range: tuple[float, float] | None = None
    """The range to which rewards are clipped."""

    @property
    def own(self) -> dict[str, Any]:
        """The parameters of this trainer alone, under TRL's names."""
        clip = self.reward_clip_range
        return {
            "normalize_advantages": self.normalize_advantages,
            "reward_clip_range": None if clip is None else clip,
        }
