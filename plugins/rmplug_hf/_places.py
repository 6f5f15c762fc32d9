"""Where a model's files are: a folder, or a commit on the hub and its copy in the local cache."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from rmplug import DataError

if TYPE_CHECKING:
    from .loaders import HubModel

FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py")
PICKLES = ("*.bin", "*.pt")


def folder_of(step: HubModel) -> Path:
    """The folder with the model's files; what the hub has and the cache lacks is downloaded."""
    if step.path is not None:
        return step.path
    assert step.name is not None
    return download(step.name, commit_of(step.name, step.revision), step.allow_pickle_weights)


def download(name: str, commit: str, pickles: bool = False) -> Path:
    """A commit's files in the local cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = [*FILES, *(PICKLES if pickles else ())]
    try:
        return Path(snapshot_download(name, revision=commit, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(_unreachable(name, commit, error)) from error


def commit_of(name: str, revision: str | None, file: str = "config.json") -> str:
    """The commit that a name stands for: as the cache has it, else as the hub says."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    try:
        cached = try_to_load_from_cache(name, file, revision=revision or "main")
    except HFValidationError as error:
        raise DataError(
            f"{name!r} is no name on the hub ({error}); for a folder write path"
        ) from error
    if isinstance(cached, str):
        return Path(cached).parent.name
    try:
        return str(HfApi().model_info(name, revision=revision).sha)
    except Exception as error:
        raise DataError(_unreachable(name, revision or "main", error)) from error


def _unreachable(name: str, revision: str, error: Exception) -> str:
    reason = type(error).__name__
    return (
        f"the hub model {name} ({revision}) is not in the local cache and cannot be fetched "
        f"({reason}); check the name, go online, or give the path of a folder"
    )
