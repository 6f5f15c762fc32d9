"""Files at an address, through fsspec: read, written, listed and removed by their names there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rmplug.errors import RmplugError, StoreError

from .address import is_local, without_secrets


@dataclass(frozen=True)
class Remote:
    """A file at an address: its size in bytes, and when it was written, in seconds since the
    epoch by the clock there."""

    bytes: int
    modified: float


class Bucket:
    """The files below one address. Every method raises ``StoreError``, in a sentence, where the
    file system cannot be reached or refuses."""

    def __init__(self, address: str) -> None:
        self.address = address

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system, and the address as a path there."""
        try:
            from fsspec.core import url_to_fs

            # what others wrote since must be seen
            options: dict[str, Any] = {"use_listings_cache": False}
            if is_local(self.address):
                options["auto_mkdir"] = True
            fs, path = url_to_fs(self.address, **options)
        except ImportError as error:
            raise StoreError(
                f"cannot open the store {self.address}: {error}; install it with pip install "
                "'rmplug[s3]', or for another file system than S3 the library that it names"
            ) from error
        except ValueError as error:
            raise StoreError(
                f"cannot open the store {self.address}: {error}; write s3://bucket/folder, or the "
                "path of a folder"
            ) from error
        return fs, str(path).rstrip("/")

    def _path(self, name: str) -> str:
        return f"{self._opened[1]}/{name}"

    @contextmanager
    def _reached(self, doing: str) -> Iterator[Any]:
        """A context in which what the file system raises becomes a sentence: each library has
        errors of its own."""
        try:
            yield self._opened[0]
        except RmplugError:
            raise
        except Exception as error:
            told = without_secrets(" ".join(str(error).split()))[:300] or type(error).__name__
            raise StoreError(
                f"cannot {doing} the store {self.address}: {told} ({_advice(error)})"
            ) from error

    def read(self, name: str) -> bytes | None:
        """Return what a file holds; None where there is none."""
        with self._reached("read") as fs:
            try:
                return bytes(fs.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def has(self, name: str) -> bool:
        """Check whether there is a file of this name."""
        with self._reached("read") as fs:
            return bool(fs.exists(self._path(name)))

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""
        with self._reached("write") as fs:
            fs.pipe_file(self._path(name), data)

    def upload(self, files: Mapping[str, Path]) -> None:
        """Write files of this machine under these names, several at once."""
        with self._reached("write") as fs:
            if files:
                fs.put([str(path) for path in files.values()], [self._path(n) for n in files])

    def download(self, files: Mapping[str, Path]) -> list[str]:
        """Fetch files, each whole or not at all; return the names of those that are gone."""
        own = f"{os.getpid()}-{threading.get_ident()}"
        parts = {name: path.with_name(f".{path.name}.{own}.tmp") for name, path in files.items()}
        for path in parts.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        gone = []
        try:
            with self._reached("read") as fs:
                try:
                    fs.get([self._path(name) for name in parts], [str(p) for p in parts.values()])
                except FileNotFoundError:
                    gone = [name for name in parts if not fs.exists(self._path(name))]
            if gone:
                rest = {name: path for name, path in files.items() if name not in gone}
                return gone + self.download(rest)
            for name, part in parts.items():
                part.replace(files[name])
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)
        return []

    def files(self, folder: str) -> dict[str, Remote]:
        """List all files below a folder, by their names below the address; none where there is no
        such folder."""
        with self._reached("list") as fs:
            try:
                found = fs.find(self._path(folder), detail=True)
            except FileNotFoundError:
                if not is_local(self.address):
                    raise  # there is no such bucket
                return {}
            start = len(self._path(""))
            return {
                str(path)[start:]: Remote(int(facts["size"]), _modified(facts))
                for path, facts in sorted(found.items())
            }

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, in any order; one that is gone is no mistake."""
        paths = [self._path(name) for name in names]
        with self._reached("remove files of") as fs:
            if is_local(self.address):
                paths = [path for path in paths if fs.exists(path)]
            if paths:
                fs.rm(paths)


def _modified(facts: Mapping[str, Any]) -> float:
    """Return when a file was written; file systems name it differently. One that does not tell is
    new: nothing that is old enough to be removed."""
    for name in ("LastModified", "mtime", "updated", "last_modified", "created"):
        value = facts.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            return datetime.fromisoformat(value).timestamp()
    return time.time()


def _advice(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "make the bucket, or name another store with --store"
    if isinstance(error, PermissionError) or "redential" in type(error).__name__:
        return "check the credentials that this machine uses, and what they allow"
    if isinstance(error, NotImplementedError):
        return "name a store that can be written with --store"
    return "what is finished is kept: run again when it can be reached"
