"""Names on the Hugging Face hub: the commit that a name stands for, and its files.

Nothing is fetched that is in the local cache; what is fetched is fetched at a commit, so that the
same name gives the same bytes for as long as a run lasts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rmplug.errors import DataError

COMMIT = re.compile(r"[0-9a-f]{40}")
NAME = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*", re.ASCII)


def commit_of(
    name: str, revision: str | None = None, kind: Literal["model", "dataset"] = "model"
) -> str:
    """Return the commit that a name and a revision (a commit, tag or branch; `main`) stand for:
    from the local cache, else from the hub. Raises DataError when neither knows."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    try:
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id
    except ImportError as error:
        raise DataError(
            f"{name} is on the hub, which is read with huggingface_hub: "
            "pip install 'rmplug[hf]', or give a path"
        ) from error
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise DataError(f"{name!r} is no name on the hub; for a folder write path") from error
    folder = Path(constants.HF_HUB_CACHE) / f"{kind}s--{name.replace('/', '--')}"
    reference = folder / "refs" / (revision or "main")
    if reference.is_file():
        return reference.read_text(encoding="utf-8").strip()
    try:
        return str(HfApi().repo_info(name, revision=revision, repo_type=kind).sha)
    except Exception as error:  # offline, no such name, no access, a broken connection
        raise DataError(unreachable(name, revision, kind, error)) from error


def cached(name: str, commit: str, kind: Literal["model", "dataset"] = "model") -> Path | None:
    """Return the folder of a name in the local cache at a commit, None where it is not there;
    nothing is fetched."""
    folder = _cache() / f"{kind}s--{name.replace('/', '--')}" / "snapshots" / commit
    ordinary = NAME.fullmatch(name) and COMMIT.fullmatch(commit)
    return folder if ordinary and folder.is_dir() else None


def missing_offline(name: str, revision: str | None = None) -> str | None:
    """Return a message, before anything runs, about a model's name that the local cache lacks while
    ``HF_HUB_OFFLINE`` is set; None where it is there or can be asked for."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if not HF_HUB_OFFLINE or not NAME.fullmatch(name):
        return None
    commit = revision or "main"
    if not COMMIT.fullmatch(commit):
        ref = _cache() / f"models--{name.replace('/', '--')}" / "refs" / commit
        commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else ""
    if cached(name, commit) is not None:
        return None
    return unreachable(name, revision, "model", OSError())


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def fetched(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """Return the folder in the local cache with a model's files at the commit of a revision: those
    that match the patterns ``files`` are downloaded if they are not there."""
    commit = commit_of(name, revision)
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, revision=commit, allow_patterns=list(files)))
    except Exception as error:  # offline, no access, a broken connection
        raise DataError(unreachable(name, commit, "model", error)) from error


def unreachable(name: str, revision: str | None, kind: str, error: Exception) -> str:
    """Return the message for a name that neither the cache nor the hub has."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    what = "data set" if kind == "dataset" else kind
    why = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else type(error).__name__
    return (
        f"the hub {what} {name} ({revision or 'main'}) is not in the local cache and cannot be "
        f"fetched ({why}); check the name, go online, or give a path"
    )
