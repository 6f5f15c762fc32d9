"""The ingredients of a step's result, and the key that stands for it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from rmplug._kinds.registry import Provider, installed_version
from rmplug.errors import DataError
from rmplug.families import Step, awaits_files, reads_files

from .files import to_json

Ingredients = dict[str, Any]


def key_of(kind: str, ingredients: Ingredients) -> str:
    """``<kind>-<fingerprint>``: the name of the artifact in the store."""
    text = json.dumps(ingredients, sort_keys=True, ensure_ascii=False, default=str)
    return f"{kind}-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


class Fingerprints:
    """Makes fingerprints; remembers the hashes of files for as long as they do not change."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, int, int], str] = {}

    def of_step(self, provider: Provider, step: Step) -> Ingredients:
        """All that determines the result but inputs and seed: kind, versions, parameters, files."""
        params = step.model_dump(mode="json")
        files: dict[str, Any] = {}
        for name, info in type(step).model_fields.items():
            if name in step.neutral:
                params.pop(name, None)
            elif reads_files(info) and getattr(step, name) is not None:
                files[name] = self._contents(getattr(step, name), awaits_files(info))
                params.pop(name, None)
        return {
            "kind": provider.name,
            "version": plugin_version(provider),
            "libraries": {name: installed_version(name) or "absent" for name in step.requires},
            "params": params,
            "files": files,
            "identity": dict(step.identity()),
        }

    def _contents(self, value: Any, awaited: bool) -> list[list[str]]:
        paths = [Path(path) for path in (value if isinstance(value, tuple | list) else [value])]
        there = [path for path in paths if path.exists() or not awaited]
        return [[path.name, self.of_path(path)] for path in there]

    def of_path(self, path: Path) -> str:
        """A hash of a file's bytes, or of a folder's files and their names."""
        if path.is_dir():
            inner = [[p.relative_to(path).as_posix(), self.of_path(p)] for p in _files(path)]
            return hashlib.sha256(json.dumps(inner).encode()).hexdigest()
        if path.exists() and not path.is_file():
            raise DataError(
                f"{path} is neither a file nor a folder; save what it gives as a file, "
                "and name that"
            )
        try:
            stat = path.stat()
            mark = (str(path), stat.st_mtime_ns, stat.st_size)
            if mark not in self._hashes:
                with path.open("rb") as file:
                    self._hashes[mark] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        return self._hashes[mark]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


@cache
def plugin_version(provider: Provider) -> str:
    """The version of a plugin, with a hash of its files: the same version may be installed again
    with other code. For one that is being edited it is a hash of the source as it is now, for an
    installed one of what the installer recorded: file names and checksums, so that none is read."""
    try:
        found = distribution(provider.distribution)
    except PackageNotFoundError:
        return f"source {source_hash(provider.cls)}"
    recorded = "" if _is_editable(found) else _hash_of_record(found, _top(provider.cls))
    if recorded:
        return f"{found.version} files {recorded}"
    return f"{found.version} source {source_hash(provider.cls)}"


def _top(cls: type[Step]) -> str:
    return cls.__module__.partition(".")[0]


def _hash_of_record(found: Distribution, top: str) -> str:
    """A hash of the lines of ``RECORD`` that are about a package or module; empty if there are
    none, as where a system's packager left the file out. Bytecode is recorded without a checksum,
    if at all, and does not count."""
    own = [
        line
        for line in (found.read_text("RECORD") or "").splitlines()
        if line.startswith((f"{top}/", f"{top}.py,")) and "/__pycache__/" not in line
    ]
    return _short_hash("\n".join(sorted(own)).encode()) if own else ""


def _is_editable(found: Distribution) -> bool:
    try:
        origin = json.loads(found.read_text("direct_url.json") or "{}")
    except ValueError:
        return False
    return bool(origin.get("dir_info", {}).get("editable"))


def source_hash(cls: type[Step]) -> str:
    """A hash of the package or module that a class stands in; of the class if it was typed in."""
    return source_of_package(_top(cls)) or _short_hash(_typed(cls).encode())


def source_of_package(top: str) -> str:
    """A hash of a package or module, by its name; empty if it has no files."""
    file = getattr(import_module(top), "__file__", None)
    return _hash_of_source(Path(file)) if file else ""


def _typed(cls: type[Step]) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):
        return cls.__qualname__


@cache
def _hash_of_source(module: Path) -> str:
    sources = _sources(module.parent) if module.name == "__init__.py" else [module]
    named = ((path.relative_to(module.parent).as_posix(), path.read_bytes()) for path in sources)
    texts = [[name, content.hex()] for name, content in named]
    return _short_hash(json.dumps(texts).encode())


def _sources(folder: Path) -> list[Path]:
    """All files of a package, templates and data too, but what Python makes and what is hidden."""
    inner = ((path, path.relative_to(folder).parts) for path in _files(folder))
    return [
        path
        for path, parts in inner
        if "__pycache__" not in parts and not any(part.startswith(".") for part in parts)
    ]


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def difference(old: Ingredients, new: Ingredients) -> str:
    """Explain why two fingerprints differ, in a few words."""
    new = from_json(to_json(new))  # as a manifest would give it back
    for part in {**old, **new}:
        if old.get(part) != new.get(part):
            name, before, after = _first_change("", old.get(part), new.get(part))
            if isinstance(before, list) or isinstance(after, list):
                return f"{part}: {name} changed" if name else f"{part} changed"
            return f"{part}:{' ' * bool(name)}{name} {_short(before)} → {_short(after)}"
    return "its result is not in the store"


def _first_change(name: str, before: Any, after: Any) -> tuple[str, Any, Any]:
    """The first entry that differs, by its dotted name, as it was and as it is."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return name, before, after
    inner = next(key for key in {**before, **after} if before.get(key) != after.get(key))
    dotted = f"{name}.{inner}" if name else inner
    return _first_change(dotted, before.get(inner), after.get(inner))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:39] + "…"
