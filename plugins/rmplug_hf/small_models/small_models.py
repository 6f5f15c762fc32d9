"""Small models that need no download: for trying a spec out, for recipes, and for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from rmplug import Checkpoint, Known, Pairs, Responses, RewardModel, Trainer


class SmallModel(Trainer):
    """Make a small model that knows nothing yet: a real architecture with random weights.

    It needs no download, and other trainers train it: `reward-model` a model that opens as
    `sequence-classifier` (with a new head), `dpo`, `grpo`, `rloo` and `online-dpo` one that opens
    as `causal-lm`. Its tokenizer is a byte-level BPE (Sennrich et al. 2016, on bytes as in GPT-2)
    learned from the texts of `data`, so that any text has tokens; without data every byte is a
    token. The same seed and data give the same files.
    """

    kind = "small-model"
    requires = ("torch", "transformers", "tokenizers", "safetensors")
    extra = "hf"

    architecture: Literal["gpt2", "llama", "qwen2", "bert"] = "gpt2"
    """The architecture: a decoder (`gpt2`, `llama`, `qwen2`), or the encoder `bert`, which is a
    classifier only."""
    opens_as: Literal["sequence-classifier", "causal-lm"] = "sequence-classifier"
    """The class it is opened as: a classifier whose head awaits training, or a language model."""
    outputs: tuple[str, ...] = Field(default=("reward",), min_length=1)
    """Names of the outputs of a classifier."""
    template: str | None = None
    """The format of a conversation as text, as in `sequence-classifier`: by default `pair` for
    `bert`, and for a decoder `chat`, the chat template ChatML, which its tokenizer gets."""
    vocab_size: int = Field(default=1024, ge=300, le=100_000)
    """Most tokens of the vocabulary; few texts give fewer."""
    hidden_size: int = Field(default=64, ge=4, le=4096)
    """Width of the hidden states."""
    num_hidden_layers: int = Field(default=2, ge=1, le=64)
    """Number of layers."""
    num_attention_heads: int = Field(default=4, ge=1, le=64)
    """Heads of attention per layer; together they have the width of the hidden states."""
    max_position_embeddings: int = Field(default=512, ge=16, le=32_768)
    """Most tokens of a conversation."""
    initializer_range: float = Field(default=0.02, gt=0, le=1)
    """Standard deviation of the random weights."""

    @model_validator(mode="after")
    def _check(self) -> SmallModel:
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError("hidden_size must be an even multiple of num_attention_heads")
        if self.architecture == "bert" and self.opens_as == "causal-lm":
            raise ValueError("bert is no causal language model; take gpt2, llama or qwen2")
        return self

    @property
    def format(self) -> str:
        """The template that is used."""
        return self.template or ("pair" if self.architecture == "bert" else "chat")

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=self.outputs if self.opens_as != "causal-lm" else ("reward",))

    def train(
        self, data: Pairs | Responses | None = None, *, seed: int, directory: Path
    ) -> Checkpoint:
        from ._making import make

        make(self, data, seed, directory)
        return Checkpoint(directory, type(self))

    @classmethod
    def open(cls, directory: Path, **changed: Any) -> RewardModel:
        """Load the model; ``changed`` overrides settings of its loader (`device`…)."""
        from ._making import open_made

        return open_made(directory, changed)
