"""Files that are whole or not there, locks between processes, and what a disk refuses."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import to_json as _to_json

from rmplug.errors import StoreError


@contextmanager
def held(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock file; ``waiting`` is called once if another process holds it."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    with guarded(f"lock {path}"):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Check whether some process holds a lock file; one that cannot be tried (it is another
    person's) may well be held, but not one on a file system that is read-only."""
    from filelock import FileLock, Timeout

    try:
        if not path.is_file():
            return False
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError as error:
        return error.errno != errno.EROFS


def write_file(path: Path, data: bytes | memoryview, flush: bool = True) -> None:
    """Write a file so that it is either whole or not there; with ``flush``, for good."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def checksum(path: Path, flush: bool = False) -> str:
    """SHA-256 of a file; with ``flush``, it is on the disk for good as well."""
    if flush:
        _flush_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_file(path: Path) -> None:
    """Flush a file to the disk; Windows does so only with files that are open for writing."""
    with path.open("rb" if opens_folders() else "r+b") as file:
        os.fsync(file.fileno())


def opens_folders() -> bool:
    """Check whether the system opens folders like files, as those of POSIX do and Windows does
    not."""
    return hasattr(os, "O_DIRECTORY")


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk; a system that opens no folders keeps them itself."""
    if not opens_folders():
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_json(content: Any) -> bytes:
    """JSON with one entry a line; numbers of numpy become plain ones, anything else its text."""
    return _to_json(content, indent=1, fallback=plain, inf_nan_mode="constants") + b"\n"


def plain(value: Any) -> Any:
    """Return what JSON has in place of a value that it does not know."""
    return value.item() if getattr(value, "ndim", None) == 0 else str(value)


def remove(folder: Path, then: Callable[[], object] = lambda: None) -> None:
    """Remove a folder at once as far as others can see; ``then`` is done before the slow part."""
    doomed = folder.with_name(f".{folder.name}.doomed")
    if doomed.exists():
        shutil.rmtree(doomed)
    if folder.exists():
        folder.rename(doomed)
    then()
    if doomed.exists():
        shutil.rmtree(doomed)


def remove_temporaries(folder: Path) -> None:
    """Remove what ``write_file`` had not finished when it was killed."""
    for debris in folder.glob(".*.tmp"):
        debris.unlink(missing_ok=True)


FULL = {
    errno.ENOSPC: "no space left on the device; free some and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EFBIG: "the file grew larger than allowed",
}
LIMITS = {
    **FULL,
    errno.EROFS: "the file system is read-only; name another folder with --store",
    errno.EACCES: "permission denied; name another folder with --store",
    errno.EPERM: "not permitted; name another folder with --store",
}


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Turn what the file system refuses into one line; what is complete stays valid."""
    try:
        yield
    except OSError as error:
        raise refused(doing, error) from error


@contextmanager
def guarded_plugin(doing: str) -> Iterator[None]:
    """The same around code of a plugin, whose other errors are its own. Some libraries tell of a
    full disk only in words."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise refused(doing, error) from error
        if os.strerror(errno.ENOSPC) in str(error):
            raise StoreError(f"cannot {doing}: {FULL[errno.ENOSPC]}") from error
        raise


def refused(doing: str, error: OSError) -> StoreError:
    reason = LIMITS.get(error.errno or 0, error.strerror or str(error))
    return StoreError(f"cannot {doing}: {reason}")
