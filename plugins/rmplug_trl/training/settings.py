"""The settings that all trainers share, under the names that TRL and PEFT give them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rmplug import Known, Trainer

Share = Annotated[float, Field(ge=0, lt=1)]
QUANTIZED_WHOLE = (
    "quantized weights cannot be trained themselves; set lora: {}, or leave quantization out of "
    "the step that loads the model"
)
QUANTIZED_MERGED = (
    "save: merged would round the matrices with quantized weights, and change the scores; save the "
    "adapter"
)


class Lora(BaseModel):
    """Low-rank adaptation (Hu et al. 2021): small matrices beside the weights are trained, and the
    head; names are PEFT's."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    r: int = Field(default=16, ge=1)
    """Rank of the matrices."""
    lora_alpha: float = Field(default=32, gt=0)
    """Their product is scaled by `lora_alpha / r`."""
    lora_dropout: Share = 0.0
    """Dropout on the input of the matrices; independent of `dropout`."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """The modules with matrices: all linear ones but the head (`all-linear`), or names such as
    `[q_proj, v_proj]`."""
    use_rslora: bool = False
    """Scale by `lora_alpha / sqrt(r)` instead (Kalajdzievski 2023)."""
    use_dora: bool = False
    """Train the size of each weight apart from its direction (Liu et al. 2024)."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """The biases that are trained."""


class Launcher(BaseModel):
    """Several processes on this machine, each with a device of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    kind: Literal["torchrun", "accelerate"] = "torchrun"
    """`torchrun`: copies of the model whose gradients are averaged (DDP). `accelerate`: what
    `config` says (DDP, FSDP, DeepSpeed)."""
    processes: int = Field(default=2, ge=1)
    """Processes; a batch of the optimiser is as many times larger."""
    config: str | None = None
    """A configuration file of accelerate, or the name of one that TRL brings: `multi_gpu`, `fsdp2`,
    `zero2`, `zero3`…"""

    @model_validator(mode="after")
    def _check_config(self) -> Launcher:
        if (self.kind == "accelerate") != (self.config is not None):
            raise ValueError("config belongs to kind: accelerate, which needs one")
        return self


class TrainingSettings(Trainer):
    """The parameters of every trainer: optimiser, schedule, batches, adapters, resumption."""

    requires = ("trl", "torch", "transformers", "accelerate", "datasets", "peft", "safetensors")
    extra = "trl"
    neutral = frozenset({"save_steps", "dataloader_num_workers"})
    renamed: ClassVar[dict[str, str]] = {
        "epochs": "num_train_epochs",
        "lr": "learning_rate",
        "batch_size": "per_device_train_batch_size",
        "train_batch_size": "per_device_train_batch_size",
        "gradient_accumulation": "gradient_accumulation_steps",
        "warmup_ratio": "warmup_steps: below 1 it is a share of all steps",
        "warmup": "warmup_steps",
        "scheduler": "lr_scheduler_type",
        "peft": "lora: {}",
        "lora_r": "lora: {r: 16}",
        "lora_alpha": "lora: {lora_alpha: 32}",
        "lora_dropout": "lora: {lora_dropout: 0.1}",
        "target_modules": "lora: {target_modules: [q_proj, v_proj]}",
        "bf16": "mixed_precision: bf16",
        "fp16": "mixed_precision: fp16",
        "group_by_length": "train_sampling_strategy: group_by_length",
        "disable_dropout": "dropout: 0 (or null for the model's own)",
        "activation_checkpointing": "gradient_checkpointing",
        "disable_gradient_checkpointing": "gradient_checkpointing: false",
        "evaluation_strategy": "eval_steps",
        "eval_strategy": "eval_steps",
        "max_length": "max_length in the step that loads the model",
        "max_seq_length": "max_length in the step that loads the model",
        "model": "a step that loads it (kind: sequence-classifier), and its id under inputs",
        "quantization": "quantization in the step that loads the model",
        "chat_template_path": "template in the step that loads the model",
        "output_dir": "nothing: results are kept in the store",
        "resume_from_checkpoint": "nothing: an interrupted run goes on by itself",
        "report_to": "track in the spec's first level, such as track: {wandb: {}}",
    }

    num_train_epochs: float = Field(default=1.0, gt=0)
    """Passes over the data."""
    max_steps: int | None = Field(default=None, ge=1)
    """Steps of the optimiser, instead of `num_train_epochs`."""
    per_device_train_batch_size: int = Field(default=8, ge=1)
    """Rows per forward and backward pass on each device; a pair is one row."""
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    """Passes whose gradients are added up before the optimiser steps."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate; by default 1e-5 where all weights are trained, 1e-4 with `lora`."""
    lr_scheduler_type: Literal[
        "linear", "cosine", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt"
    ] = "linear"
    """The course of the learning rate after the warm-up."""
    warmup_steps: float = Field(default=0.1, ge=0)
    """Steps over which the learning rate rises to its peak; below 1, their share of all steps."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay (AdamW); never on biases and norms."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """The norm to which larger gradients are clipped."""
    optim: str = Field(default="adamw_torch", pattern=r"^[a-z0-9_]+$")
    """The optimiser, by transformers' name: `adamw_torch`, `adafactor`, `sgd`, `adamw_8bit`…"""
    dropout: Share | None = 0.0
    """The probability of every dropout in the network while it trains, functional ones in attention
    included; `null` leaves what the model's configuration says."""
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Number format of the forward pass over float32 weights: `auto` is bf16 on a GPU that has it,
    else none."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, about a third more time."""
    train_sampling_strategy: Literal["group_by_length", "random", "sequential"] = "group_by_length"
    """The order of rows: shuffled so that rows of like length share a batch (least padding),
    shuffled, or as they come."""
    dataloader_num_workers: int = Field(default=0, ge=0)
    """Processes that make batches beside the training."""
    logging_steps: int = Field(default=10, ge=1)
    """Steps between entries of the training curves."""
    save_steps: int = Field(default=100, ge=1)
    """Steps between checkpoints; what a kill costs at most."""
    keep_examples: bool = True
    """Keep the texts of the first three examples, as the model reads them, in `examples.json` of
    the checkpoint, for the page: whoever shares the checkpoint shares them."""
    lora: Lora | None = None
    """Train low-rank matrices and the head, instead of all weights; `{}` takes the defaults."""

    @model_validator(mode="before")
    @classmethod
    def _lora_of_bool(cls, values: object) -> object:
        """Take `lora: true` for the defaults."""
        if isinstance(values, dict) and isinstance(values.get("lora"), bool):
            return {**values, "lora": {} if values["lora"] else None}
        return values

    def quantized_mistakes(self, models: Sequence[Known], name: str) -> Iterator[tuple[str, str]]:
        """Report a model with quantized weights at the input ``name``, where they would have to be
        trained or merged."""
        for model in models:
            if getattr(model.made_by, "quantization", "none") == "none":
                continue
            if self.lora is None:
                yield name, QUANTIZED_WHOLE
            if getattr(self, "save", "adapter") == "merged":
                yield "save", QUANTIZED_MERGED

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate that is used."""
        return self.learning_rate or (1e-5 if self.lora is None else 1e-4)
