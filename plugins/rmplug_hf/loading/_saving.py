"""Trained networks as files: whole models, or adapters alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer

from rmplug import DataError

from ._adapters import PREFIX


def save_network(network: Any, directory: Path, new_head: Sequence[str]) -> None:
    """Write the weights of a network, or those of the adapter around it; ``new_head`` are the names
    of parameters that no checkpoint has."""
    if isinstance(network, PeftModel):
        save_adapter(network, directory, new_head)
    else:
        save_model(network, directory)


def save_model(network: Any, directory: Path) -> None:
    """Write a whole model as safetensors. Raises DataError where an adapter is still beside its
    weights."""
    if any(isinstance(module, BaseTunerLayer) for module in network.modules()):
        raise DataError(
            "the network has an adapter beside its weights; save the PeftModel, or merge"
        )
    network.save_pretrained(str(directory))


def save_adapter(network: Any, directory: Path, new_head: Sequence[str]) -> None:
    """Write an adapter as safetensors. Raises DataError where it lacks parameters of a new head,
    which are nowhere else."""
    held = get_peft_model_state_dict(network, save_embedding_layers=False)
    lost = [name for name in new_head if f"{PREFIX}{name}" not in held]
    if lost:
        raise DataError(
            f"the adapter does not hold {lost[0]} of the new head, which would be lost; name its "
            "module in modules_to_save"
        )
    # without the question whether the model's embeddings changed, which asks the hub
    network.save_pretrained(str(directory), save_embedding_layers=False)
