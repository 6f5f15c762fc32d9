"""The trainer that learns a policy from preferences, without a reward model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from rmplug import Checkpoint, Known, OneOrMore, Pairs, Progress, RewardModel

from .settings import PolicySettings

Loss = Literal[
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot",
    "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
]  # fmt: skip
SMOOTHED = frozenset({"exo_pair", "robust", "aot", "aot_unpaired"})
"""The losses in which TRL uses `label_smoothing`."""


class Dpo(PolicySettings):
    """Train a policy on pairs by direct preference optimisation (DPO, Rafailov et al. 2023).

    ``policy`` is a `causal-lm`, or what a trainer of policies has trained; the reference is that
    policy before the training, whose log-probabilities are computed once. The tokens of a response
    are those that `causal-lm` counts when it is asked, cut as its parameters say. A policy that is
    trained so is a reward model, too: `implicit-reward` asks it, with the policy before the
    training as reference.

    ``validation``, from other prompts, is measured every `eval_steps` on all its rows by the
    implicit reward: `log-loss` (nats; 0.693 is chance) and `accuracy` (ties one half).

    Numbers over the steps: `loss`, `margin` (implicit reward of chosen less that of rejected),
    `accuracy`, `chosen_reward`, `rejected_reward`; over the validation rows at the end `accuracy`,
    `log-loss` and `accuracy-of-longer`, the length baseline, with 95 % intervals of a bootstrap
    over groups; `pairs`, `steps`, `parameters`, `parameters-trained`. A kill costs the steps since
    the last checkpoint. The columns `weight` and `margin` of pairs have no effect here.
    """

    kind = "dpo"
    renamed: ClassVar[dict[str, str]] = {
        **PolicySettings.renamed,
        "loss": "loss_type",
        "max_prompt_length": "max_length and truncate in the step that loads the policy",
        "max_completion_length": "max_length in the step that loads the policy",
        "rpo_alpha": "loss_type: [sigmoid, sft] and loss_weights",
        "precompute_ref_log_probs": "nothing: they are always computed once",
    }

    beta: float = Field(default=0.1, gt=0)
    """The reward of a difference of one in log-probability; a larger one stays closer to the
    reference."""
    loss_type: Annotated[tuple[Loss, ...], Field(min_length=1), OneOrMore] = ("sigmoid",)
    """The loss by TRL's name: `sigmoid` (DPO), `ipo` (Azar et al. 2023), `hinge`, `robust`…; or
    several, whose sum is taken."""
    loss_weights: tuple[float, ...] | None = None
    """The weight of each loss in the sum; 1 each by default."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """The probability that a label is wrong, in the losses `exo_pair` (which needs it), `robust`,
    `aot` and `aot_unpaired`."""
    too_long: Literal["truncate", "drop", "error"] = "truncate"
    """The policy for conversations longer than `max_length`: cut as `truncate` of the step that
    loads the policy says, leave the pair out, or refuse; what is cut or left out is counted."""
    eval_steps: int | None = Field(default=None, ge=1)
    """Steps between measurements of the validation rows; by default once per epoch."""

    @model_validator(mode="after")
    def _check_losses(self) -> Dpo:
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_type):
            raise ValueError("loss_weights needs one weight for each loss of loss_type")
        if self.label_smoothing and not SMOOTHED & set(self.loss_type):
            raise ValueError(
                f"label_smoothing has no effect on {', '.join(self.loss_type)}; it belongs to "
                f"{', '.join(sorted(SMOOTHED))}"
            )
        if "exo_pair" in self.loss_type and not self.label_smoothing:
            raise ValueError("exo_pair needs label_smoothing above 0, such as 0.001")
        return self

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report a setting that needs validation rows, and a training of quantized weights."""
        yield from self.quantized_mistakes(inputs.get("policy", ()), "policy")
        if self.eval_steps is not None and not inputs.get("validation"):
            yield "eval_steps", "eval_steps needs held-out rows; name them under inputs: validation"

    def train(
        self,
        policy: RewardModel,
        data: Pairs,
        validation: Pairs | None = None,
        *,
        seed: int,
        directory: Path,
        work: Path,
        progress: Progress,
    ) -> Checkpoint:
        from ._preference import train

        numbers = train(self, policy.reload(), data, validation, seed, directory, work, progress)
        return Checkpoint(directory, type(self), numbers)
