"""The opening of sentence encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import SentenceTransformer

from rmplug import DataError
from rmplug.models.devices import device_of
from rmplug.models.encoder_choice import locate_encoder
from rmplug.models.quiet import quiet

from ._modules import check_modules

FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.py")

if TYPE_CHECKING:
    from . import SentenceEmbedding


def open_encoder(step: SentenceEmbedding) -> Any:
    """Load the encoder of a step; nothing but the model that the step names is ever fetched."""
    folder = locate_encoder(step.encoder, step.revision, step.path, FILES)
    device = device_of(step.device)
    check_modules(folder)
    try:
        with quiet():
            encoder = SentenceTransformer(
                str(folder),
                device=str(device),
                local_files_only=True,
                model_kwargs={"torch_dtype": getattr(torch, step.dtype)},
            )
    except Exception as error:  # whatever a broken folder makes the libraries raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{folder} cannot be opened as a sentence encoder: {reason}") from error
    _limit(encoder, step.max_length)
    return encoder.eval()


def _limit(encoder: SentenceTransformer, wanted: int | None) -> None:
    """Set the maximum length of the encoder's input; DataError if it was not built for so much."""
    if wanted is None:
        return
    most = positions_of(encoder)
    if most is not None and wanted > most:
        raise DataError(
            f"max_length {wanted} is more than the {most} tokens that the encoder can read"
        )
    encoder.max_seq_length = wanted


def positions_of(encoder: SentenceTransformer) -> int | None:
    """Return the number of positions of an encoder; None if its configuration lacks it."""
    config: Any = getattr(getattr(encoder[0], "auto_model", None), "config", None)
    return getattr(config, "max_position_embeddings", None)
