"""Queries for the hidden states of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from rmplug import Features, Known, OneOrMore, Pairs, QueryStrategy, Responses, RewardModel
from rmplug_hf.loading.loaders import HubModel
from rmplug_hf.loading.recognised import folder_config, layers_of_config


class HiddenState(QueryStrategy):
    """Return a model's hidden states: one vector per conversation, from any layer or from many.

    Works with `encoder`, `sequence-classifier`, `reward-head` and other models of transformers, and
    with `endpoint-states`, whose layer and pooling are the server's.
    Gives from pairs the vectors `chosen` and `rejected` (float32, as wide as the model), from
    responses `response`: states of the prompt with the response. With `part: prompt` or `both` also
    `prompt`, the state of the prompt alone, at the end of its last turn (`prompt_end`); a causal
    model is not run again for it, as its state of a prompt is the same before any response. With
    `layers` each of these is one vector per layer, from one forward pass: `response.layer-3`. Layer
    0 is the input of the first layer: the embeddings of the tokens (with those of positions, where
    the model adds them there). States are float32 columns of vectors of one width, which are read a
    part at a time.

    States do not depend on batch, order or padding beyond rounding (1e-5 in float32). Identical
    conversations go through the model once.
    """

    kind = "hidden-state"
    neutral = frozenset({"self_check"})
    requires = ("torch", "transformers")
    extra = "hf"

    self_check: int = Field(default=8, ge=0, le=256)
    """Rows that are run once more, each alone, without padding and in float32: how far the states
    are apart is in the record and on the report; more than rounding is said in a notice. 0 checks
    none."""
    layer: int | None = None
    """0 the embeddings, 1 the first layer, -1 the last; by default an encoder's own `layer`, and
    the last of any other model."""
    layers: Annotated[tuple[int, ...], Field(min_length=1), OneOrMore] | Literal["all"] | None = (
        None
    )
    """Several layers at once, by number from 0 (the embeddings) to the number of layers, or `all`:
    the vector of layer 3 is called `response.layer-3` (`chosen.layer-3`)."""
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

    @field_validator("layers", mode="before")
    @classmethod
    def _layers_are_numbers(cls, layers: Any) -> Any:
        numbers = layers if isinstance(layers, list | tuple) else [layers]
        for layer in numbers:
            if isinstance(layer, int) and layer < 0:
                raise ValueError(
                    f"layers are counted from 0, the embeddings; write the number of the layer "
                    f"instead of {layer}, or layer: {layer} alone"
                )
        if len(set(map(str, numbers))) < len(numbers):
            raise ValueError("a layer is named twice; name each once")
        return layers

    @model_validator(mode="after")
    def _check(self) -> HiddenState:
        if self.layer is not None and self.layers is not None:
            raise ValueError("give layer (one) or layers (several), not both")
        if (self.pooling == "position") != (self.position is not None):
            raise ValueError("position and pooling: position belong together; give both or neither")
        return self

    def query(self, model: RewardModel, data: Pairs | Responses) -> Features:
        from rmplug.models.self_checks import ids_to_check

        from ._state_query import StateQuery

        sides = self._sides(isinstance(data, Pairs))
        ask = StateQuery(
            sides,
            self.layer,
            self.pooling,
            self.position,
            self.prompt_end,
            self.layers,
            ids_to_check(data, self.self_check),
        )
        return data.map(ask, open=model.open, wide=self.layers is not None)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        data = inputs["data"][0]
        if not data.is_a(Pairs, Responses):
            return Known()
        names: Sequence[str] = self._sides(data.is_a(Pairs))
        if self.layers is not None:
            numbers = self._numbers(_layers_of(inputs["model"][0]))
            if numbers is None:
                return Known()
            names = [f"{side}.layer-{number}" for side in names for number in numbers]
        return Known(columns=dict.fromkeys(names, "vector"))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        """Report layers that the model is known not to have."""
        model = inputs["model"][0]
        most = _layers_of(model)
        for name in ("layer", "layers"):
            asked = getattr(self, name)
            numbers = asked if isinstance(asked, tuple) else (asked,)
            absent = [
                number
                for number in numbers
                if most is not None and isinstance(number, int) and not -most - 1 <= number <= most
            ]
            if absent:
                yield (
                    name,
                    f"{model.step} has the layers 0 (embeddings) to {most}; there is no "
                    f"{absent[0]}",
                )

    def _numbers(self, most: int | None) -> Sequence[int] | None:
        """Return the numbers of the layers of ``layers``; None where the model decides."""
        if isinstance(self.layers, tuple):
            return self.layers
        return None if most is None else range(most + 1)

    def _sides(self, pairs: bool) -> tuple[str, ...]:
        responses = ("chosen", "rejected") if pairs else ("response",)
        prompt = () if self.part == "response" else ("prompt",)
        return prompt + (() if self.part == "prompt" else responses)


def _layers_of(model: Known) -> int | None:
    """Return the number of layers of a model, as far as its folder tells."""
    loader = model.made_by
    if not isinstance(loader, HubModel) or loader.path is None or loader.trust_remote_code:
        return None
    return layers_of_config(folder_config(str(loader.path)) or {})
