"""Addresses of stores: ``s3://bucket/prefix``, or any other of a file system that fsspec knows."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from rmplug.errors import StoreError

from .user_paths import user_path

MIRRORS = "RMPLUG_MIRRORS"
"""The variable with the folder in which this machine keeps its copies of stores at addresses."""
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?::.*)?/+(.*)", re.DOTALL)
"""A drive of Windows has one letter; a ``Path`` has one slash left."""
_SECRET = re.compile(r"(?<=://)[^/\s@]*:[^/\s@]*@")
_LOCAL = ("file", "local")


def address_of(named: str | Path) -> str | None:
    """Return the address that names a store, in one form; None for the path of a folder. Raises
    ``StoreError`` for an address that holds a password, options, or another address."""
    found = _ADDRESS.match(str(named))
    if found is None:
        return None
    scheme, rest = found[1].lower(), found[2].rstrip("/")
    if "::" in str(named) or not rest:
        raise _refused(named, "leads through another file system, or names none of its folders")
    address = f"{scheme}://{'/' if scheme in _LOCAL else ''}{rest}"
    if _SECRET.search(address):
        raise _refused(named, "holds a password, which would be seen by whoever sees it")
    if re.search(r"[?#\s\\]|(^|/)\.\.?(/|$)", rest):
        raise _refused(named, "holds more than a bucket and the names of folders")
    return address


def _refused(named: str | Path, why: str) -> StoreError:
    return StoreError(
        f"the store {without_secrets(str(named))} {why}: write it as s3://bucket/folder; "
        "credentials and options are those that the library of the file system finds itself"
    )


def without_secrets(text: str) -> str:
    """Return a text in which no address holds a name and a password."""
    return _SECRET.sub("***@", text)


def is_local(address: str) -> bool:
    """Check whether an address means a folder of this machine."""
    return address.partition("://")[0] in _LOCAL


def mirror_folder(address: str) -> Path:
    """Return the folder in which this machine keeps its copy of the store at an address: in the one
    that ``RMPLUG_MIRRORS`` names, else in the user's cache."""
    named = os.environ.get(MIRRORS)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    parent = user_path(named) if named else user_path(cache) / "rmplug" / "stores"
    readable = re.sub(r"[^A-Za-z0-9]+", "-", address)[-40:].strip("-")
    digest = hashlib.blake2b(address.encode(), digest_size=8).hexdigest()
    return parent.absolute() / f"{readable}-{digest}"
