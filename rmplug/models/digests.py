"""Digests of a model's files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from rmplug._store.files import checksum


def known_checksum(path: Path) -> str:
    """SHA-256 of a file that is asked for often: read once per process for as long as its size and
    its times stay the same."""
    found = path.stat()
    return _checksum(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@lru_cache(maxsize=256)
def _checksum(path: Path, *_state: int) -> str:
    return checksum(path)
