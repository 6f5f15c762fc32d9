"""Digests of a model's files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from rmplug._store.files import checksum

DEFINING = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model", "*.jinja", "*.py")
"""The files of a folder that define what its model does."""


def defining_files(folder: Path, adapter: Path | None = None) -> dict[str, Path]:
    """List the files that define a model's outputs, by their names; those of an adapter on it as
    ``adapter/<name>``."""
    folders = {"": folder} if adapter is None else {"": folder, "adapter/": adapter}
    return {
        before + path.name: path
        for before, where in folders.items()
        for pattern in DEFINING
        for path in sorted(where.glob(pattern))
        if path.is_file()
    }


def model_digests(folder: Path, adapter: Path | None = None) -> dict[str, str]:
    """Return the SHA-256 of each file that defines a model's outputs, by its name."""
    files = defining_files(folder, adapter)
    return {name: known_checksum(path) for name, path in files.items()}


def known_checksum(path: Path) -> str:
    """Return the SHA-256 of a file that is asked for often: read once per process for as long as
    its size and its times stay the same."""
    return _checksum(path, *file_state(path))


def file_state(path: Path) -> tuple[int, ...]:
    """Return what tells that a file was changed or replaced, without reading it."""
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


@lru_cache(maxsize=256)
def _checksum(path: Path, *_state: int) -> str:
    return checksum(path)
