"""A reward model that says what its score is made of: attribute heads, debiasing and a gate.

Needs torch and transformers only. For each conversation, written by the tokenizer's chat template
as ids:

    rewards        (B, K)  regression_layer of the state of the last token
    gating_output  (B, K)  weights on debiased rewards, from the state where the last prompt ends
    contributions  (B, K)  rewards * (gating_output @ reward_transform_matrix.T) / score_temperature
    score          (B,)    the sum of contributions; logits is the same with shape (B, 1)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput


class InterpretableRewardConfig(PretrainedConfig):  # type: ignore[misc]
    """The configuration. ``backbone`` is that of a causal model; ``gating_widths`` the sizes from
    state to attributes, or empty for constant weights; ``gating_signed`` says that its weights are
    no softmax; ``response_start_ids`` are the tokens that the chat template ends any prompt with,
    and ``prompt_offset`` is the index of the one among them whose state the gate reads: the first
    where that is the token that ends a turn."""

    model_type = "interpretable_reward"

    def __init__(
        self,
        backbone: dict[str, Any] | None = None,
        attributes: list[str] | None = None,
        gating_widths: list[int] | None = None,
        gating_temperature: float = 1.0,
        gating_signed: bool = False,
        score_temperature: float = 1.0,
        response_start_ids: list[int] | None = None,
        prompt_offset: int = 0,
        **kwargs: Any,
    ) -> None:
        self.backbone = backbone
        self.attributes = list(attributes or [])
        self.num_objectives = len(self.attributes)
        self.gating_widths = list(gating_widths or [])
        self.gating_temperature = gating_temperature
        self.gating_signed = gating_signed
        self.score_temperature = score_temperature
        self.response_start_ids = list(response_start_ids or [])
        self.prompt_offset = prompt_offset
        super().__init__(**{"num_labels": 1, **kwargs})


@dataclass
class InterpretableRewardOutput(ModelOutput):  # type: ignore[misc]
    """The output of the model; shapes are those of the module's docstring."""

    logits: torch.Tensor | None = None
    score: torch.Tensor | None = None
    rewards: torch.Tensor | None = None
    gating_output: torch.Tensor | None = None
    contributions: torch.Tensor | None = None


class Gating(nn.Module):  # type: ignore[misc]
    """``logit_scale * softmax(layers(state) / temperature)``, where it is signed without the
    softmax, or constant weights."""

    def __init__(
        self, widths: list[int], attributes: int, temperature: float, signed: bool
    ) -> None:
        super().__init__()
        self.temperature, self.signed = temperature, signed
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        if widths:
            self.logit_scale = nn.Parameter(torch.ones(1))
        else:
            self.weights = nn.Parameter(torch.zeros(attributes))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        if not len(self.layers):
            return self.weights.expand(len(states), -1)
        hidden = states
        for number, layer in enumerate(self.layers):
            hidden = layer(torch.relu(hidden) if number else hidden)
        hidden = hidden / self.temperature
        return self.logit_scale * (hidden if self.signed else torch.softmax(hidden, dim=1))


class InterpretableRewardModel(PreTrainedModel):  # type: ignore[misc]
    """A frozen backbone with attribute heads, a transform and a gate."""

    config_class = InterpretableRewardConfig
    base_model_prefix = "model"
    _keep_in_fp32_modules_strict = ("regression_layer", "gating", "reward_transform_matrix")

    def __init__(self, config: InterpretableRewardConfig) -> None:
        super().__init__(config)
        settings = dict(config.backbone or {})
        self.model = AutoModel.from_config(AutoConfig.for_model(**settings))
        width, attributes = self.model.config.hidden_size, config.num_objectives
        self.regression_layer = nn.Linear(width, attributes)
        self.reward_transform_matrix = nn.Parameter(torch.eye(attributes))
        self.gating = Gating(
            config.gating_widths, attributes, config.gating_temperature, config.gating_signed
        )
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> InterpretableRewardOutput:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        states = self.model(input_ids=input_ids, attention_mask=mask, use_cache=False)[0].float()
        rows = torch.arange(len(input_ids), device=input_ids.device)
        length = input_ids.shape[1]
        last = length - 1 - mask.flip(1).long().argmax(dim=1)
        rewards = self.regression_layer(states[rows, last])
        starts = last_starts(input_ids, self.config.response_start_ids)
        gating = self.gating(states[rows, starts + self.config.prompt_offset])
        weights = gating @ self.reward_transform_matrix.T / self.config.score_temperature
        contributions = weights * rewards
        score = contributions.sum(dim=1)
        return InterpretableRewardOutput(
            logits=score.unsqueeze(1),
            score=score,
            rewards=rewards,
            gating_output=gating,
            contributions=contributions,
        )


def last_starts(ids: torch.Tensor, pattern: list[int]) -> torch.Tensor:
    """Find the start of the last match of the pattern in each row of ids (B, length)."""
    wanted = torch.tensor(pattern, device=ids.device)
    missing = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    if ids.shape[1] >= len(wanted):
        matches = (ids.unfold(1, len(wanted), 1) == wanted).all(dim=2)
        missing = ~matches.any(dim=1)
    if ids.shape[1] < len(wanted) or missing.any():
        raise ValueError(
            "no response begins in these ids: write conversations with the tokenizer's chat "
            "template, the response included, and do not cut them"
        )
    return matches.shape[1] - 1 - matches.flip(1).long().argmax(dim=1)
