"""The choice of an encoder: an installed one by name, one on the hub, or one in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .installed_encoders import MINILM


def check_encoder_choice(encoder: str, revision: str | None, path: Path | None) -> None:
    """Check that parameters name one encoder, in one way. Raises ValueError, for a validator."""
    if path is not None and (encoder != MINILM.name or revision is not None):
        raise ValueError("path is a folder; encoder and revision name a model on the hub")
    if revision is not None and encoder == MINILM.name:
        raise ValueError("revision belongs to a model on the hub; minilm is installed")


def identify_encoder(encoder: str, revision: str | None, path: Path | None) -> dict[str, Any]:
    """Return the identity of the encoder's name, for ``Step.identity``: the weights' digest, or the
    commit on the hub; nothing for a folder, whose files are the identity."""
    if path is not None:
        return {}
    if encoder == MINILM.name:
        return {"weights": MINILM.weights}
    from .hub import commit_of

    return {"commit": commit_of(encoder, revision)}


def locate_encoder(
    encoder: str, revision: str | None, path: Path | None, files: Sequence[str]
) -> Path:
    """Find the folder with the encoder's files; of one on the hub, those that match the patterns
    ``files`` are downloaded if they are not in the cache. Raises DataError."""
    if path is not None:
        return path
    if encoder == MINILM.name:
        return MINILM.folder()
    from .hub import fetched

    return fetched(encoder, revision, files)
