"""Reward models with a head that was stored beside a transformer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from rmplug import Known, RewardModel

from .loaders import REOPENED, SeparateWeights
from .recognised import folder_config, is_classifier, trained_kind
from .weight_places import WeightsPath, weights_mistake


class ValueHead(SeparateWeights):
    """Load a reward model that is a transformer and a linear head of its own.

    The form in which many early reward models were published (CarperAI's and Dahoas' GPT-J models,
    TRL's value heads): any model of `AutoModel`, by the configuration in `path` or `name`, and a
    matrix such as `v_head.weight` that no class of transformers knows. Transformer and head stand
    in the file `weights` (before the names of the transformer may stand `transformer.`, `model.`,
    `module.`, `pretrained_model.`), or in the folder's own weights, or the head in `head_weights`.
    A language model's head (`lm_head`) beside them is left out. More than one linear layer is
    refused.

    The score is what the head gives of the last token of the conversation, computed in float32: the
    same as of the conversation alone, without padding. The training code of these models
    (`GPTRewardModel` of summarize_rlhf) pads with the token that ends texts, and reads the token
    before the first of these: the same, if `template` does not end in `{eos}`. It reads both
    responses of a pair at the end of the longer one, so that the end score of the shorter one comes
    from padding; here no padding is read.
    """

    kind = "value-head"
    reopened_with = REOPENED | {"head", "outputs", "only"}

    head: str | None = Field(default=None, examples=["v_head.weight"])
    """Name of the head's weights in its file, where it is not found by itself (`v_head.weight`,
    `v_head.0.weight`, `v_head.summary.weight`, `score.weight`, `value_head.weight` and the like); a
    bias beside it, such as `v_head.bias`, is taken, too."""
    head_weights: WeightsPath | None = None
    """File with the head, where it is not among the other weights; as `weights`."""
    outputs: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Names of the head's outputs, in order; by default it must have one, `reward`."""
    only: str | None = None
    """The one output that is the reward, by name; by default all of them."""

    @classmethod
    def accepts(cls, source: str) -> Mapping[str, Any] | None:
        """Check for a folder whose safetensors have the head, and whose config names no other."""
        from .value_head_names import folder_has_head

        config = folder_config(source)
        if config is None or is_classifier(config) or trained_kind(source) is not None:
            return None
        return {"path": source} if folder_has_head(source) else None

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=self.outputs if self.only is None and self.outputs else ("reward",))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report mistakes as for every model, files of the head, and what such a model has not."""
        yield from super().mistakes(inputs)
        if self.head_weights is not None:
            fault = weights_mistake(self.head_weights, self.allow_pickle_weights)
            yield from [("head_weights", fault)] if fault else []
        if self.adapter is not None:
            yield "adapter", "a value-head takes no adapter; merge it into the weights"
        if self.weights is None and self.quantization != "none":
            yield "quantization", "a value-head is not quantized; leave it out"
        if self.only is not None and self.only not in (self.outputs or ("reward",)):
            has = ", ".join(self.outputs or ("reward",))
            yield "only", f"the model has no output {self.only!r}; it has {has}"

    def load(self) -> RewardModel:
        from ._value_head import load_value_head

        return load_value_head(self)
