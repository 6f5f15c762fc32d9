"""The settings of a trainer as arguments of the installed version of TRL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rmplug import RmplugError

if TYPE_CHECKING:
    from .settings import TrainingSettings

RENAMED = {"gradient_checkpointing": "activation_checkpointing"}
"""Arguments that newer versions of transformers call otherwise."""


SAME = (
    "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps",
    "lr_scheduler_type", "weight_decay", "max_grad_norm", "optim", "gradient_checkpointing",
    "dataloader_num_workers", "logging_steps", "save_steps",
)  # fmt: skip
"""Settings that are passed on as they are."""

OURS: Mapping[str, Any] = {
    "logging_first_step": True,
    "save_strategy": "steps",
    "save_total_limit": 2,
    "eval_strategy": "no",
    "report_to": "none",
    # a number that is not finite is an error of ours, not a zero in a log
    "logging_nan_inf_filter": False,
    "disable_tqdm": True,
}
"""Arguments that no spec sets: observers tell, held-out rows are measured by us."""


def arguments_of(
    config: type[Any],
    step: TrainingSettings,
    seed: int,
    work: Path,
    device: torch.device,
    **more: Any,
) -> Any:
    """Return an instance of TRL's ``config`` class; an argument that the installed version lacks
    is refused by name, never left out."""
    precision, warmup = precision_of(step, device), step.warmup_steps
    wanted: dict[str, Any] = {
        **{name: getattr(step, name) for name in SAME},
        **OURS,
        "output_dir": str(work),
        "max_steps": step.max_steps or -1,
        "learning_rate": step.peak_learning_rate,
        "warmup_steps": warmup if warmup < 1 else int(warmup),
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": device.type == "cpu",
        "dataloader_pin_memory": device.type == "cuda",
        "seed": seed,
        "data_seed": seed,
        **more,
    }
    known = {field.name for field in fields(config)}
    named = {RENAMED.get(n, n) if RENAMED.get(n, n) in known else n: v for n, v in wanted.items()}
    missing = sorted(set(named) - known)
    if missing:
        raise RmplugError(
            f"the installed version of TRL or transformers has no argument {missing[0]} in "
            f"{config.__name__}; install the versions that rmplug[trl] asks for"
        )
    return config(**named)


def precision_of(step: TrainingSettings, device: torch.device) -> str:
    """Return the number format of the forward pass: ``no``, ``bf16`` or ``fp16``."""
    if step.mixed_precision != "auto":
        return step.mixed_precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "no"
