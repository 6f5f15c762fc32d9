"""The training of a policy on pairs of its own responses, of which the better one by rewards is
chosen."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from trl.models.utils import unwrap_model_for_generation

from rmplug.models.trainable import TrainablePolicy
from rmplug_trl.training._network import precision_kept
from rmplug_trl.training._quiet import Silent

from ._reinforcement import Prompts, ReinforcementTraining, Talk

with warnings.catch_warnings():
    # that this part of TRL may change is in the docs of the step; pyproject bounds the versions
    warnings.filterwarnings("ignore", "You are importing from 'trl.experimental'")
    from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer
    from trl.experimental.utils import truncate_right

if TYPE_CHECKING:
    pass

SHOWN = {
    "objective/scores": "mean_reward",
    "objective/scores_margin": "reward_difference",
    "loss": "loss",
    "objective/kl": "kl",
    "rewards/margins": "margin",
    "completions/mean_length": "mean_length",
    "completions/clipped_ratio": "clipped_share",
}
"""Numbers in TRL's log, and their names here."""
SHARED = ("temperature", "top_p", "top_k", "repetition_penalty", "beta")
"""Parameters that TRL has under the same names."""
Sampled = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, None]


class OnlineDpoTraining(Silent, OnlineDPOTrainer):  # type: ignore[misc]
    """TRL's trainer for online DPO with our prompts and their order, and positions that do not
    depend on padding."""

    policy: TrainablePolicy
    shuffled: bool

    @cached_property
    def takes_positions(self) -> bool:
        """True if the policy's network takes the positions of tokens."""
        return "position_ids" in signature(type(self.policy.network).forward).parameters

    def _get_train_sampler(self, dataset: Any = None) -> Prompts:
        count = len(dataset if dataset is not None else self.train_dataset)
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return Prompts(count, together, 1, 1, self.args.seed if self.shuffled else None)

    def _generate(self, model: Any, prompts: Sequence[Talk], images: None = None) -> Sampled:
        """Sample two responses to each prompt, which the policy's own format makes tokens of: all
        first ones, then all second ones, as TRL's loss expects them."""
        padding = self.policy.padding
        ids, mask = padded_left(self.policy.prompt_ids(prompts) * 2, padding)
        ids, mask = ids.to(self.accelerator.device), mask.to(self.accelerator.device)
        generation = unwrap_model_for_generation(
            model, self.accelerator, generation_kwargs=self.generation_kwargs
        )
        with generation as network, torch.no_grad(), evaluating(network):
            whole = network.generate(
                input_ids=ids, attention_mask=mask, generation_config=self.generation_config
            )
        written, counted = truncate_right(whole[:, ids.shape[1] :], self.eos_token_ids, padding)
        self._note(written, counted)
        return ids, mask, written, counted, None

    def _note(self, written: torch.Tensor, counted: torch.Tensor) -> None:
        """Note how long responses are, where TRL gathers what it logs."""
        ends = torch.tensor(self.eos_token_ids, device=written.device)
        clipped = ~torch.isin(written, ends).any(dim=1)
        found = {"mean_length": counted.sum(dim=1), "clipped_ratio": clipped}
        for name, values in found.items():
            self.stats.setdefault(f"completions/{name}", []).append(values.float().mean().item())

    def _forward(
        self,
        model: Any,
        prompt_ids: torch.Tensor,
        prompt_mask: torch.Tensor,
        completion_ids: torch.Tensor,
        completion_mask: torch.Tensor,
        vision_inputs: None = None,
    ) -> torch.Tensor:
        """Return the log-probabilities of responses' tokens, of shape (responses, longest), 0 at
        padding. TRL's own counts the padding before a prompt as positions, which gives GPT-2 other
        ones than it sampled with, and has what stands at padding in the divergence."""
        ids = torch.cat((prompt_ids, completion_ids), dim=1)
        mask = torch.cat((prompt_mask, completion_mask), dim=1)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        # some architectures (BLOOM, MPT) have no positions but distances, which the mask gives
        placed = {"position_ids": positions} if self.takes_positions else {}
        # without gradients it is the reference that is read
        with evaluating(model, not torch.is_grad_enabled()):
            logits = model(ids, attention_mask=mask, **placed).logits
        logits = logits[:, prompt_ids.shape[1] - 1 : -1].float()
        logs = logits.log_softmax(dim=-1).gather(2, completion_ids.unsqueeze(-1)).squeeze(-1)
        return logs * completion_mask


@contextmanager
def evaluating(network: nn.Module, wanted: bool = True) -> Iterator[None]:
    """Leave dropout out where it is ``wanted``."""
    training = network.training
    network.train(training and not wanted)
    yield
    network.train(training)


def padded_left(rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens and mask of shape (rows, longest), padded on the left, where generation begins
    on the right."""
    longest = max(map(len, rows))
    ids = [[padding] * (longest - len(row)) + list(row) for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


class OnlineTraining(ReinforcementTraining):
    """One training on pairs of the policy's own responses."""

    shown: ClassVar[Mapping[str, str]] = SHOWN

    def loop_of(self, network: Any) -> Any:
        """Return TRL's loop for the network."""
        step, new_adapter = self.step, self.step.lora is not None and self.policy.adapted is None
        lengths = {
            "max_new_tokens": step.max_completion_length,
            # of TRL's own cut, which prompts that leave room for a response do not need
            "max_length": 2**31,
            "disable_dropout": False,
        }
        given = self.given(network, OnlineDPOConfig, SHARED, **lengths)
        # TRL copies the whole model as reference where it gets none. Of a new adapter, whose
        # product is zero, the model without it is the same reference
        reference = nn.Identity() if new_adapter else None
        with precision_kept(network):
            loop = OnlineDpoTraining(**given, ref_model=reference)
        if new_adapter:
            loop.ref_model = None
        # TRL adds up the gradients of the passes of a step, where transformers averages them;
        # accelerate divides the loss of each by this number
        loop.accelerator.gradient_accumulation_steps = step.gradient_accumulation_steps
        return loop
