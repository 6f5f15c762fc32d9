"""The location of a model's files: a folder, or a commit on the hub and its local copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rmplug.models.encoder_choice import locate_encoder

if TYPE_CHECKING:
    from .loaders import HubModel, HubReader

FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py")
PICKLES = ("*.bin", "*.pt")


def folder_of(step: HubModel) -> Path:
    """Return the folder with the model's files; files that the cache lacks are downloaded, its
    weights only where the step does not name others."""
    files = [*FILES, *(PICKLES if step.allow_pickle_weights else ())]
    if getattr(step, "weights", None) is not None:
        files = [pattern for pattern in FILES if pattern != "*.safetensors"]
    return locate_encoder(step.name or "", step.revision, step.path, files)


def tokenizer_folder(step: HubReader) -> Path:
    """Return the folder with the model's tokenizer and configuration; of a name, files that the
    cache lacks are downloaded, its weights are not."""
    files = [pattern for pattern in FILES if pattern != "*.safetensors"]
    return locate_encoder(step.name or "", step.revision, step.path, files)
