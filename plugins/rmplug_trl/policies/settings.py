"""The settings that all trainers of policies share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from rmplug import Known, RewardModel
from rmplug_trl.training.reopening import open_trained
from rmplug_trl.training.settings import TrainingSettings


class PolicySettings(TrainingSettings):
    """The parameters of every trainer of policies; what it trains opens as `causal-lm`."""

    renamed: ClassVar[dict[str, str]] = {
        **TrainingSettings.renamed,
        "model": "a step that loads it (kind: causal-lm), and its id under inputs: policy",
        "ref_model": "nothing: the reference is the policy before the training",
        "kl_coef": "beta",
        "init_kl_coef": "beta",
        "max_completion_len": "max_completion_length",
        "max_new_tokens": "max_completion_length",
        "response_length": "max_completion_length",
    }

    trained_input: ClassVar[str] = "policy"

    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate; by default 1e-6 where all weights are trained, 1e-5 with `lora`."""

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate that is used."""
        return self.learning_rate or (1e-6 if self.lora is None else 1e-5)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("reward",))

    @classmethod
    def open(cls, directory: Path, **changed: Any) -> RewardModel:
        """Load the policy as `causal-lm` does; ``changed`` overrides its parameters (`device`,
        `reference`, `beta`…)."""
        return open_trained("causal-lm", directory, changed)


class ReinforcementSettings(PolicySettings):
    """The parameters of trainers that sample responses and learn from their rewards."""

    renamed: ClassVar[dict[str, str]] = {
        **PolicySettings.renamed,
        "reward_funcs": "reward, under inputs: one model, or a list of them",
        "reward_model_path": "a step that loads it, and its id under inputs: reward",
        "rl_reward_model_path": "a step that loads it, and its id under inputs: reward",
    }

    beta: float = Field(default=0.0, ge=0)
    """Weight of the divergence (KL) from the policy before; 0 needs no second model."""
    max_completion_length: int = Field(default=256, ge=1)
    """Most tokens of a sampled response. A prompt that leaves no room for them is left out and
    named."""
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of sampling: logits are divided by it."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample among the most likely tokens that have this probability together; 1 among all."""
    top_k: int = Field(default=0, ge=0)
    """Sample among this many most likely tokens; 0 among all."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    """Divide the scores of tokens that are there already by this; 1 leaves them."""
    reward_weights: tuple[float, ...] | None = None
    """The weight of each reward model in the sum of rewards, in the order of the input `reward`;
    1 each by default. Rewards of different models have different scales."""
    output: str | None = None
    """The output that is the reward, of reward models with several outputs; `reward` by default."""
    train_sampling_strategy: Literal["random", "sequential"] = "random"
    """The order of prompts: shuffled, or as they come. Prompts that do not fill a step are left out
    of that epoch."""

    @property
    def prompts_per_step(self) -> int:
        """Prompts whose responses a step learns from, on one device."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps


class GroupSettings(ReinforcementSettings):
    """The parameters of trainers that compare the responses of a group, sampled for one prompt."""

    renamed: ClassVar[dict[str, str]] = {
        **ReinforcementSettings.renamed,
        "generations": "num_generations",
        "group_size": "num_generations",
        "rloo_k": "num_generations",
    }

    num_generations: int = Field(default=8, ge=2)
    """Responses sampled for each prompt, which are compared with each other."""
    per_device_train_batch_size: int = Field(default=8, ge=1)
    """Responses per forward and backward pass on each device; together with
    `gradient_accumulation_steps`, a step has a whole number of prompts times `num_generations`."""
    epsilon: float = Field(default=0.2, gt=0)
    """Bound of the change of a response's probability in a step (PPO's clipping)."""
    mask_truncated_completions: bool = False
    """Learn nothing from responses that reach `max_completion_length`."""

    @property
    def prompts_per_step(self) -> int:
        """Prompts whose responses a step learns from, on one device."""
        return super().prompts_per_step // self.num_generations
