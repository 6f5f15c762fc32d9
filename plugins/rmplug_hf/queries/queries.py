"""Queries for the hidden states of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import model_validator

from rmplug import Features, Known, Pairs, QueryStrategy, Responses, RewardModel


class HiddenState(QueryStrategy):
    """Return a model's hidden states: one vector per conversation, from any layer.

    Works with `encoder`, `sequence-classifier`, `reward-head` and other models of transformers.
    Gives from pairs the vectors `chosen` and `rejected` (float32, as wide as the model), from
    responses `response`: states of the prompt with the response. With `part: prompt` or `both` also
    `prompt`, the state of the prompt alone, at the end of its last turn (`prompt_end`); a causal
    model is not run again for it, as its state of a prompt is the same before any response.

    States do not depend on batch, order or padding beyond rounding (1e-5 in float32). Identical
    conversations go through the model once.
    """

    kind = "hidden-state"
    requires = ("torch", "transformers")
    extra = "hf"

    layer: int | None = None
    """0 the embeddings, 1 the first layer, -1 the last; by default an encoder's own `layer`, and
    the last of any other model."""
    pooling: Literal["last", "mean", "cls", "position"] | None = None
    """The state of the last token, the mean over all, that of the first, or that at `position`; by
    default an encoder's own `pooling`, and `last` for any other model."""
    position: int | Literal["prompt-end", "response-start", "response-end"] | None = None
    """The token that `pooling: position` takes: the last of the prompt, the first or the last of
    the response, or a number, from 0 at the beginning or from -1 at the end."""
    part: Literal["response", "prompt", "both"] = "response"
    """States of the prompt with the response, of the prompt alone, or of both."""
    prompt_end: Literal["turn", "response"] = "turn"
    """The end of the prompt alone: with the token that ends its last `turn` (`<|eot_id|>` of
    Llama-3, `<end_of_turn>` of Gemma-2, `<|im_end|>` of ChatML), which is where gates are read; or
    where a `response` would begin, after what the chat template opens it with. The same without a
    chat template, and where it opens a response with nothing."""

    @model_validator(mode="after")
    def _check(self) -> HiddenState:
        if (self.pooling == "position") != (self.position is not None):
            raise ValueError("position and pooling: position belong together; give both or neither")
        return self

    def query(self, model: RewardModel, data: Pairs | Responses) -> Features:
        from ._state_query import StateQuery

        sides = self._sides(isinstance(data, Pairs))
        ask = StateQuery(sides, self.layer, self.pooling, self.position, self.prompt_end)
        return data.map(ask, open=model.open)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        data = inputs["data"][0]
        if not data.is_a(Pairs, Responses):
            return Known()
        return Known(columns=dict.fromkeys(self._sides(data.is_a(Pairs)), "vector"))

    def _sides(self, pairs: bool) -> tuple[str, ...]:
        responses = ("chosen", "rejected") if pairs else ("response",)
        prompt = () if self.part == "response" else ("prompt",)
        return prompt + (() if self.part == "prompt" else responses)
