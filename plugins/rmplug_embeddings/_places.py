"""Where an encoder's files are: an installed package, a folder, or the hub and its local cache."""

from __future__ import annotations

import re
from pathlib import Path

from rmplug import DataError
from rmplug.installed import MINILM

from . import SentenceEmbedding


def place_of(step: SentenceEmbedding) -> Path:
    """The folder with the encoder's files."""
    if step.path is not None:
        return step.path
    if step.encoder == "minilm":
        return MINILM.folder()
    return _downloaded(step.encoder, commit_of(step.encoder, step.revision))


def commit_of(name: str, revision: str | None) -> str:
    """The commit that a hub name stands for: as the local cache has it, else as the hub says."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    try:
        cached = try_to_load_from_cache(name, "modules.json", revision=revision or "main")
        if isinstance(cached, str):
            return Path(cached).parent.name
        return str(HfApi().model_info(name, revision=revision).sha)
    except HFValidationError as error:
        raise DataError(
            f"encoder {name!r} is neither minilm nor a name on the hub; for a folder write path"
        ) from error
    except Exception as error:  # offline, no such model, no access, a broken connection
        raise DataError(_unreachable(name, revision, error)) from error


def _downloaded(name: str, commit: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=commit, ignore_patterns=["*.bin", "*.onnx"]))
    except Exception as error:  # offline, no access, a broken connection
        raise DataError(_unreachable(name, commit, error)) from error


def _unreachable(name: str, revision: str | None, error: Exception) -> str:
    from huggingface_hub.constants import HF_HUB_OFFLINE

    why = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else type(error).__name__
    at = f" at {revision}" if revision else ""
    return (
        f"the encoder {name}{at} is not in the local cache and cannot be fetched ({why}); check "
        "the name, go online, or use encoder: minilm or the path of a folder"
    )
