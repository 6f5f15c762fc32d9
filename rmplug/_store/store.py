"""Artifacts on disk by fingerprint: atomic, resumable, verified.

artifacts/<kind>-<fingerprint>/   complete: files and ``manifest.json`` with their checksums
partial/<kind>-<fingerprint>/     in the making: shards already committed, or debris
partial/<kind>-<fingerprint>.cut  how those shards are cut
locks/                            one file per artifact in the making
runs/<run>/record.json            what ran
kept/<digest>/                    what a model gave for texts (``kept.py``)
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, NonNegativeInt, model_validator
from pydantic_core import from_json

from rmplug.errors import StoreError
from rmplug.notices import Notice
from rmplug.records import SeenRows, newer_version

from .files import (
    checksum,
    flush_folder,
    guarded,
    held,
    remove,
    remove_temporaries,
    to_json,
    write_file,
)

FORMAT = 1
"""The format of manifests that this version writes, and the newest that it reads."""
MANIFEST = "manifest.json"
KEPT = "kept"
"""The folder of kept values in the store, and beside the shards of a result in the making."""
CHEAP = 1.0
"""Seconds of work that are rather done again, after a machine has failed, than flushed."""
SEAL = b',\n "sha256": "'


Mark = tuple[int, int, int]


class _File(BaseModel):
    sha256: str


class _Manifest(BaseModel):
    """The shape of what is read of a manifest, which may be a stranger's: anyone can seal one."""

    type: str = ""
    kind: str = ""
    files: dict[str, _File]
    parts: list[NonNegativeInt] = []
    rows: int | None = None
    tables: list[str] = []
    entry: str = ""
    ingredients: dict[str, Any] = {}
    notices: list[Notice] = []
    seen: dict[str, SeenRows] = {}
    trainings: list[tuple[list[str], str, str]] = []
    kept: list[str] = []

    @model_validator(mode="after")
    def _check_facts(self) -> _Manifest:
        needed = {"": None, "Report": "entry", "Fit": "tables", "Checkpoint": None}
        lacking = needed.get(self.type, "parts")
        if lacking is not None and lacking not in self.model_fields_set:
            raise ValueError(f"a {self.type} without {lacking}")
        return self


class NewerFormatError(StoreError):
    """An artifact that a newer version wrote: whole, but not to be read or replaced by this one."""


@dataclass(frozen=True)
class Stored:
    """A folder in ``artifacts``, ``partial`` or ``kept``: its size in bytes, and when it was last
    used."""

    folder: Path
    bytes: int
    used: float


class Store:
    """One folder that keeps every result.

    ``MirroredStore`` is one for a store at an address: the methods from ``share`` on, of which a
    folder needs none, are where it fetches and sends."""

    address = ""
    """The address of the store; empty of one that is a folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()
        self.artifacts = self.root / "artifacts"
        self.partial = self.root / "partial"
        self.locks = self.root / "locks"
        self.runs = self.root / "runs"
        self.kept = self.root / KEPT
        self._verified: set[str] = set()
        self._manifests: dict[str, tuple[Mark, dict[str, Any]]] = {}
        self._locked_at: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The store as messages name it."""
        return self.address or str(self.root)

    def is_new(self) -> bool:
        """Check whether nothing was ever kept here."""
        return not self.artifacts.is_dir()

    def prepare(self) -> None:
        """Make the folders, or say in one line why that cannot be done."""
        with guarded(f"write the store {self.root}"):
            for folder in (self.artifacts, self.partial, self.locks, self.runs):
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass

    def find(self, key: str) -> Path | None:
        """The folder of a complete artifact, or None."""
        folder = self.artifacts / key
        return folder if (folder / MANIFEST).is_file() else None

    def manifest(self, key: str) -> dict[str, Any]:
        """Read what the store holds of a complete artifact.

        Raises ``NewerFormatError`` for one that a newer version wrote, ``StoreError`` for one that
        is damaged.
        """
        path = self.artifacts / key / MANIFEST
        try:
            mark = _mark(path)
            if self._manifests.get(key, (None,))[0] != mark:
                self._manifests[key] = (mark, unsealed(path.read_bytes(), path))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{path} is unreadable; run again to make it anew") from error
        return dict(self._manifests[key][1])

    def damage(self, key: str) -> str:
        """Say what is wrong with an artifact: ``""`` if it is not there or every checksum holds.
        Checked once. Raises ``NewerFormatError`` for one that a newer version wrote."""
        folder = self.artifacts / key
        if key in self._verified or not folder.exists():
            return ""
        if not (folder / MANIFEST).is_file():
            return f"{MANIFEST} is missing"
        try:
            files = self.manifest(key)["files"]
        except NewerFormatError:
            raise
        except StoreError:
            return f"{MANIFEST} is damaged"
        for name, entry in files.items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            if checksum(folder / name) != entry["sha256"]:
                return f"the checksum of {name} differs"
        links = sorted(path.name for path in folder.rglob("*") if path.is_symlink())
        if links:  # what is copied from a result would be a file from elsewhere
            return f"{links[0]} is a link to elsewhere"
        self._verified.add(key)
        return ""

    def touch(self, key: str) -> None:
        """Note that an artifact is in use now, so that ``gc`` leaves it to the run that uses it."""
        with guarded(f"write {self.artifacts / key}"):
            os.utime(self.artifacts / key)

    def made_at(self, key: str) -> float:
        """Return the time when an artifact was made, by the clock of the file system."""
        return (self.artifacts / key / MANIFEST).stat().st_mtime

    @contextmanager
    def lock(self, key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold an artifact while it is made; ``waiting`` is called once if another run holds it."""
        with held(self.locks / f"{key}.lock", waiting):
            self._locked_at[key] = time.monotonic()
            try:
                yield
            finally:
                del self._locked_at[key]

    def begin(self, key: str, cut: Mapping[str, Any] | None = None) -> Path:
        """The folder to make an artifact in. What an earlier attempt left there is kept only if
        its shards were cut in the same way, and all of it stands in that folder."""
        folder, note = self.partial / key, self.partial / f"{key}.cut"
        with guarded(f"write {folder}"):
            if cut is not None and _is_plain(folder) and _reads(note, cut):
                remove_temporaries(folder)
                return folder
            note.unlink(missing_ok=True)
            if folder.is_symlink():
                folder.unlink()
            elif folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            if cut is not None:
                write_file(note, to_json(cut))
        return folder

    def commit(self, key: str, manifest: Mapping[str, Any]) -> Path:
        """Turn ``partial/<key>`` into a complete artifact, all at once; one that was there before
        stays until then. A kill at any moment leaves the old one, the new one, or its shards.

        What took more than ``CHEAP`` seconds under its lock is flushed to the disk. The rest is
        made again sooner than it is flushed: should the machine fail, its checksums will tell.
        """
        folder, target = self.partial / key, self.artifacts / key
        flush = time.monotonic() - self._locked_at.get(key, -math.inf) > CHEAP
        with guarded(f"write {folder}"):
            remove_temporaries(folder)
            content = {"format": FORMAT, **manifest, "files": _sealed_files(folder, flush)}
            write_file(folder / MANIFEST, sealed(to_json(content)), flush)
            if flush:
                for inner in [*(path for path in folder.rglob("*") if path.is_dir()), folder]:
                    flush_folder(inner)
            remove(target, then=lambda: folder.rename(target))
            if flush:
                flush_folder(target.parent)
            (self.partial / f"{key}.cut").unlink(missing_ok=True)
        self._verified.add(key)
        return target

    def discard(self, key: str) -> None:
        """Remove an artifact, complete or not."""
        self._verified.discard(key)
        with guarded(f"remove {key}"):
            (self.partial / f"{key}.cut").unlink(missing_ok=True)
            for place in (self.artifacts, self.partial):
                remove(place / key)

    def names(self) -> list[str]:
        """Every complete artifact."""
        found = (path.parent.name for path in self.artifacts.glob(f"*/{MANIFEST}"))
        return sorted(name for name in found if not name.startswith("."))

    def everything(self) -> list[Stored]:
        """List the folders of results, of results in the making, and of kept values."""
        return [
            Stored(folder, folder_size(folder), folder.stat().st_mtime)
            for parent in (self.artifacts, self.partial, self.kept)
            for folder in sorted(parent.glob("*"), key=lambda each: each.name)
            if folder.is_dir() and not folder.is_symlink()
        ]

    def leave_mark(self) -> str:
        """Make a file by which a worker shows that it sees the same store, and return its name.
        Raises ``StoreError`` if the store cannot be written."""
        try:
            descriptor, path = tempfile.mkstemp(prefix=".joining-", dir=self.root)
        except OSError as error:
            raise StoreError(f"cannot write the store {self.root} ({error.strerror})") from error
        os.close(descriptor)
        return Path(path).name

    def take_mark(self, mark: str) -> bool:
        """Remove a mark; False where it is not there, so that this is another store. Raises
        ``StoreError`` if the store cannot be written."""
        try:
            (self.root / mark).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"cannot write the store {self.root} ({error.strerror})") from error
        return True

    def share(self, key: str, cut: Mapping[str, Any], names: Sequence[str]) -> None:
        """Let other machines see files of a result in the making, whose shards are cut like
        this."""

    def gather(self, key: str, cut: Mapping[str, Any], names: Sequence[str] | None = None) -> None:
        """Fetch files of a result in the making that other machines have made, or all of them."""

    def pull_kept(self, name: str = "") -> None:
        """Fetch the kept values that other machines have added, to one folder of them or to all."""

    def share_kept(self, names: Iterable[str], gone: Iterable[Path]) -> None:
        """Let other machines see the kept values in these folders, which have replaced the files
        that are ``gone``."""

    def share_record(self, run: str) -> None:
        """Let other machines see the record of a run."""

    def pull_records(self) -> None:
        """Fetch the records of runs that other machines have written."""

    def removed(self, folders: Sequence[Path]) -> None:
        """Remove what was removed from the folder of the store wherever else it is."""

    def newest_garbage(self) -> float:
        """Return the time, in seconds since the epoch, after which nothing is garbage, as a run
        that is not known may have made it."""
        return math.inf


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _mark(path: Path) -> Mark:
    """Return facts that change when a file is replaced."""
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _sealed_files(folder: Path, flush: bool) -> dict[str, dict[str, Any]]:
    """Every file of an artifact but its manifest, with its checksum; with ``flush``, on the disk
    for good."""
    return {
        path.relative_to(folder).as_posix(): {
            "sha256": checksum(path, flush),
            "bytes": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }


def sealed(text: bytes) -> bytes:
    """The text of a JSON mapping with the checksum of all before it as the last entry."""
    body = text.rstrip().removesuffix(b"}").rstrip()
    return body + _seal(body)


def _seal(body: bytes) -> bytes:
    return SEAL + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'


def unsealed(text: bytes, path: Path | str) -> dict[str, Any]:
    """A manifest from its text, if it is whole and of a format that this version knows."""
    content = from_json(text)
    number = content["format"]
    if isinstance(number, int) and number > FORMAT:
        newer = newer_version("manifest", number, FORMAT)
        raise NewerFormatError(f"{path} was {newer}; use that version, or another store")
    body = text.rpartition(SEAL)[0]
    if text != body + _seal(body):
        raise StoreError(f"the checksum of {path} differs; run again to make it anew")
    _Manifest.model_validate_json(text, strict=True)
    del content["sha256"]
    return dict(content)


def _is_plain(folder: Path) -> bool:
    """Check whether a folder holds nothing but files and folders. Through a link, what goes on
    there would write and remove elsewhere; a pipe never answers. A store may be a stranger's."""
    every = [folder, *folder.rglob("*")] if folder.is_dir() else []
    return bool(every) and not any(
        path.is_symlink() or not (path.is_file() or path.is_dir()) for path in every
    )


def _reads(note: Path, content: Mapping[str, Any]) -> bool:
    try:
        if not note.is_file():
            return False
        return bool(json.loads(note.read_text(encoding="utf-8")) == dict(content))
    except (OSError, ValueError):
        return False
