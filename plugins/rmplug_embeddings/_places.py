"""Where an encoder's files are: an installed package, a folder, or the hub and its local cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rmplug.models.hub import fetched
from rmplug.models.installed_encoders import MINILM

if TYPE_CHECKING:
    from . import SentenceEmbedding

FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.py")


def place_of(step: SentenceEmbedding) -> Path:
    """The folder with the encoder's files."""
    if step.path is not None:
        return step.path
    if step.encoder == "minilm":
        return MINILM.folder()
    return fetched(step.encoder, step.revision, FILES)
