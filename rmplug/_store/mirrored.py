"""A store at an address: a mirror folder on each machine, and the files that all of them share.

What a run makes is made in the mirror, as in any store, and then sent; what it needs and is not in
the mirror is fetched, and checked by the checksums of its manifest. A manifest is sent last and
removed first: a result without one is not there, whatever moment a machine was lost at.

No lock holds between machines, and none is needed: all that two of them may write under one name is
the same, a result by its fingerprint, a shard by that and its cut, kept values by their digest, a
record by its run. Where processors differ it may differ by rounding, and files of two machines
under one manifest then have other checksums: the result counts as damaged, and is made anew. Two
runs at once may do work twice, and never wrong.

artifacts/<key>/           results, as in the folder
partial/<key>/<cut>/       shards of results in the making, and what models gave for them
kept/, runs/<run>/record.json
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from rmplug.errors import StoreError
from rmplug.packed_work import send_as_address

from .address import mirror_folder
from .bucket import Bucket, Remote
from .files import checksum, guarded, held, remove, to_json
from .store import KEPT, MANIFEST, NewerFormatError, Store, Stored, unsealed

RECORD = "record.json"
_NAME = re.compile(r"[\w-][\w.-]*")
"""A name that an address may give to a folder of the mirror."""
_SHARED = re.compile(rf"part-\d{{5,}}\.parquet|{KEPT}/(visible\.json|[0-9a-f]{{32}}/[\w-][\w.-]*)")
"""A file of a result in the making that is taken from an address."""
_VALUES = re.compile(rf"{KEPT}/([0-9a-f]{{32}})/[\w-][\w.-]*")


class MirroredStore(Store):
    """A store at an address, with the folder that mirrors it here. Where it is unpickled, it is one
    with the mirror of that machine."""

    def __init__(self, address: str) -> None:
        super().__init__(mirror_folder(address))
        self.address = address
        self.bucket = Bucket(address)
        self._sent: set[str] = set()
        self._broken: dict[str, str] = {}
        self._in_shards: set[str] = set()
        with guarded(f"write {self.root}, the mirror of {address}"):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.artifacts, self.partial, self.locks, self.runs):
                folder.mkdir(exist_ok=True)
        send_as_address(self.root, located, address)

    def __reduce__(self) -> tuple[Any, ...]:
        return mirrored_store, (self.address,)

    def is_new(self) -> bool:
        return not self.bucket.files("runs")

    def prepare(self) -> None:
        super().prepare()
        self.take_mark(self.leave_mark())

    def leave_mark(self) -> str:
        mark = f".joining-{secrets.token_hex(8)}"
        self.bucket.write(mark, b"")
        return mark

    def take_mark(self, mark: str) -> bool:
        if not self.bucket.has(mark):
            return False
        self.bucket.remove([mark])
        return True

    def find(self, key: str) -> Path | None:
        if super().find(key) is None:
            self._fetch(key)
        return super().find(key)

    def manifest(self, key: str) -> dict[str, Any]:
        if super().find(key) is None and _NAME.fullmatch(key):
            text = self.bucket.read(f"artifacts/{key}/{MANIFEST}")
            if text is not None:  # to tell of a result, its tables are not needed
                return _read(text, f"{self.address}/artifacts/{key}/{MANIFEST}")
        return super().manifest(key)

    def damage(self, key: str) -> str:
        """Say what is wrong with an artifact here; one that is whole at the address is fetched
        anew. Of one that is not here, what was wrong when it was looked for."""
        found = super().damage(key)
        if found and self._fetch(key):
            return ""
        return found or self._broken.get(key, "")

    def touch(self, key: str) -> None:
        """Note that an artifact is in use; one that is only here, as the connection was cut when it
        was made, or as it was removed there, is sent."""
        super().touch(key)
        if key not in self._sent and not self.bucket.has(f"artifacts/{key}/{MANIFEST}"):
            self._send(key)
        self._sent.add(key)

    def begin(self, key: str, cut: Mapping[str, Any] | None = None) -> Path:
        folder = super().begin(key, cut)
        if cut is not None:
            self._in_shards.add(key)
            self.gather(key, cut)
        return folder

    def commit(self, key: str, manifest: Mapping[str, Any]) -> Path:
        folder = super().commit(key, manifest)
        self._send(key)
        if key in self._in_shards:
            self._in_shards.discard(key)
            self.bucket.remove(self.bucket.files(f"partial/{key}"))
        return folder

    def everything(self) -> list[Stored]:
        here = {stored.folder: stored for stored in super().everything()}
        for place in ("artifacts", "partial", KEPT):
            for key, files in _by_folder(self.bucket.files(place)).items():
                folder = self.root / place / key
                used = max(remote.modified for remote in files)
                if folder in here:
                    used = max(used, here[folder].used)
                here[folder] = Stored(folder, sum(remote.bytes for remote in files), used)
        return sorted(here.values(), key=lambda stored: str(stored.folder))

    def share(self, key: str, cut: Mapping[str, Any], names: Sequence[str]) -> None:
        there = _shards(key, cut)
        self.bucket.upload({f"{there}/{name}": self.partial / key / name for name in names})

    def gather(self, key: str, cut: Mapping[str, Any], names: Sequence[str] | None = None) -> None:
        there, folder, asked = _shards(key, cut), self.partial / key, names is not None
        if names is None:
            listed = (name.removeprefix(f"{there}/") for name in self.bucket.files(there))
            names = [name for name in listed if _SHARED.fullmatch(name)]
        lacking = [name for name in names if not (folder / name).exists()]
        with guarded(f"write {folder}"):
            gone = self.bucket.download({f"{there}/{name}": folder / name for name in lacking})
        if gone and asked:
            raise StoreError(
                f"shards of {key} are gone from {self.address}: another run has finished it and "
                "removed them; run again to use its result"
            )

    def pull_kept(self, name: str = "") -> None:
        if self._fetch_kept(name):  # put together with others, in a file that was not listed
            self._fetch_kept(name)

    def _fetch_kept(self, name: str) -> list[str]:
        """Fetch the kept values that are not here; return the files that vanished meanwhile."""
        listed = self.bucket.files(f"{KEPT}/{name}" if name else KEPT)
        paths = {name: self.root / name for name in listed if _VALUES.fullmatch(name)}
        lacking = {
            name: path
            for name, path in paths.items()
            if not path.exists() and not path.with_name(f"{path.name}.damaged").exists()
        }
        with guarded(f"write {self.kept}"):
            return self.bucket.download(lacking)

    def share_kept(self, names: Iterable[str], gone: Iterable[Path]) -> None:
        for name in names:
            while not self._send_kept(name):
                pass  # another step has put files together meanwhile: the folder is listed anew
        self.bucket.remove(path.relative_to(self.root).as_posix() for path in gone)

    def _send_kept(self, folder: str) -> bool:
        """Send the kept values in a folder; False if some of the files vanished meanwhile."""
        there = self.bucket.files(f"{KEPT}/{folder}")
        here = (path for path in (self.kept / folder).glob("*") if _NAME.fullmatch(path.name))
        files = {f"{KEPT}/{folder}/{path.name}": path for path in here if path.is_file()}
        try:
            self.bucket.upload({name: files[name] for name in files if name not in there})
        except StoreError:
            if all(path.is_file() for path in files.values()):
                raise
            return False
        return True

    def share_record(self, run: str) -> None:
        self.bucket.upload({f"runs/{run}/{RECORD}": self.runs / run / RECORD})

    def pull_records(self) -> None:
        """Fetch records that are new or were written again; those of this machine's own runs, which
        have a lock here, are newer here."""
        listed = self.bucket.files("runs")
        there = {
            run: listed[f"runs/{run}/{RECORD}"]
            for run in _by_folder(listed)
            if f"runs/{run}/{RECORD}" in listed
        }
        theirs = {run: remote for run, remote in there.items() if not self._is_own(run)}
        paths = {run: self.runs / run / RECORD for run in theirs}
        new = [run for run, remote in theirs.items() if not _is_same(paths[run], remote)]
        with guarded(f"write {self.runs}"):
            gone = self.bucket.download({f"runs/{run}/{RECORD}": paths[run] for run in new})
            for run in new:
                if f"runs/{run}/{RECORD}" not in gone:
                    os.utime(paths[run], (theirs[run].modified, theirs[run].modified))
            for path in self.runs.glob(f"*/{RECORD}"):
                if path.parent.name not in there and not self._is_own(path.parent.name):
                    shutil.rmtree(path.parent, ignore_errors=True)  # another machine removed it

    def _is_own(self, run: str) -> bool:
        return (self.runs / run / "live.lock").exists()

    def removed(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            name = folder.relative_to(self.root).as_posix()
            files = self.bucket.files(name)
            if f"{name}/{MANIFEST}" in files:
                self.bucket.remove([f"{name}/{MANIFEST}"])
            self.bucket.remove(files)
            self._sent.discard(folder.name)

    def newest_garbage(self) -> float:
        return time.time()

    def _send(self, key: str) -> None:
        """Send an artifact, unless the same one is there."""
        folder, there = self.artifacts / key, f"artifacts/{key}"
        manifest = (folder / MANIFEST).read_bytes()
        found = self.bucket.read(f"{there}/{MANIFEST}")
        if found != manifest or self._broken.get(key):
            if found is not None:
                self.bucket.remove([f"{there}/{MANIFEST}"])
            files = self.manifest(key)["files"]
            self.bucket.upload({f"{there}/{name}": folder / name for name in files})
            self.bucket.write(f"{there}/{MANIFEST}", manifest)
        self._broken.pop(key, None)
        self._sent.add(key)

    def _fetch(self, key: str) -> bool:
        """Fetch an artifact; False if it is not at the address, or damaged there."""
        if not _NAME.fullmatch(key):
            return False
        text = self.bucket.read(f"artifacts/{key}/{MANIFEST}")
        if text is None:
            return False
        folder = self.partial / f".{key}.fetched"
        with guarded(f"write {folder}"), held(self.locks / f"{key}.fetched.lock"):
            if super().find(key) is None or super().damage(key):
                self._broken[key] = self._bring(key, text, folder)
        return not self._broken.get(key)

    def _bring(self, key: str, text: bytes, folder: Path) -> str:
        """Fetch the files of a manifest into a folder and move it to its place; what is wrong with
        them, if anything is."""
        is_newer = False
        try:
            files = _read(text, f"{self.address}/artifacts/{key}/{MANIFEST}")["files"]
        except NewerFormatError:  # to say so, as of one that is here, the manifest is enough
            files, is_newer = {}, True
        except StoreError:
            return f"{MANIFEST} is damaged"
        strange = [name for name in files if not _is_inside(name)]
        if strange:
            return f"{strange[0]!r:.80} is no name of a file in it"
        remove(folder)
        folder.mkdir()
        gone = self.bucket.download({f"artifacts/{key}/{n}": folder / n for n in files})
        if gone:
            return f"{PurePosixPath(gone[0]).name} is missing"
        for name, entry in files.items():
            if checksum(folder / name) != entry["sha256"]:
                return f"the checksum of {name} differs"
        (folder / MANIFEST).write_bytes(text)
        made = self.bucket.files(f"artifacts/{key}/{MANIFEST}")
        for remote in made.values():  # a result that was asked for anew is not younger for that
            os.utime(folder / MANIFEST, (remote.modified, remote.modified))
        remove(self.artifacts / key, then=lambda: folder.rename(self.artifacts / key))
        self._sent.add(key)
        if not is_newer:
            self._verified.add(key)
        return ""


def mirrored_store(address: str) -> MirroredStore:
    """Return the store at an address, opened once in each process."""
    return _opened(address, mirror_folder(address))


@lru_cache(maxsize=8)
def _opened(address: str, _: Path) -> MirroredStore:
    return MirroredStore(address)


def located(address: str, name: str) -> Path:
    """Return the path on this machine of what has a name in the store at an address: a result is
    fetched. Raises ``StoreError`` if it is gone."""
    store = mirrored_store(address)
    place, _, inner = name.partition("/")
    key = inner.partition("/")[0]
    if place == "artifacts" and store.find(key) is None:
        raise StoreError(f"the result {key} is gone from the store {address}; run again")
    if place == KEPT:
        store.pull_kept()
    if place == "partial":
        (store.partial / key).mkdir(exist_ok=True)
    return store.root / name


def _shards(key: str, cut: Mapping[str, Any]) -> str:
    """Return where the shards of a result are shared: those that are cut in another way, or come
    from other groups, are other shards."""
    digest = hashlib.blake2b(to_json(dict(cut)), digest_size=8).hexdigest()
    return f"partial/{key}/{digest}"


def _read(text: bytes, address: str) -> dict[str, Any]:
    """Read a manifest from an address, which may be a stranger's."""
    try:
        return unsealed(text, address)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{address} is unreadable; run again to make it anew") from error


def _is_inside(name: str) -> bool:
    """Check whether the name of a file leads nowhere but into its folder, on any system."""
    odd = "\\:\0" if os.name == "nt" else "\\\0"
    parts = name.split("/")
    wrong = any(part in ("", ".", "..") or set(part) & set(odd) for part in parts)
    return name != MANIFEST and not wrong


def _by_folder(files: Mapping[str, Remote]) -> dict[str, list[Remote]]:
    """Put listed files together by the second part of their names; odd names are passed over."""
    found: dict[str, list[Remote]] = {}
    for name, remote in files.items():
        parts = name.split("/")
        if len(parts) > 2 and _NAME.fullmatch(parts[1]):
            found.setdefault(parts[1], []).append(remote)
    return found


def _is_same(path: Path, remote: Remote) -> bool:
    """Check whether a file here is the one that was fetched from there."""
    if not path.is_file():
        return False
    stat = path.stat()
    return stat.st_size == remote.bytes and abs(stat.st_mtime - remote.modified) < 1e-3
