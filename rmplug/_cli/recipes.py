"""Specs to start from: recipes of rmplug, and those in a folder ``recipes`` of a plugin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from rmplug._kinds.registry import GROUP
from rmplug._spec.source import read_source
from rmplug.errors import RmplugError, did_you_mean, some

SCHEMA = "run.schema.json"
NEEDS = "Needs:"


@dataclass(frozen=True)
class Recipe:
    """A spec file that can be copied; its first line describes its purpose, and a comment
    ``Needs: …`` before the spec what it needs."""

    name: str
    path: Path

    @property
    def summary(self) -> str:
        return next(iter(self._comments()), "")

    @property
    def needs(self) -> str:
        """Time on two cores, and a network, a server or a GPU where the recipe needs one."""
        lines = (line for line in self._comments() if line.startswith(NEEDS))
        return next(lines, "").removeprefix(NEEDS).strip()

    def _comments(self) -> Iterator[str]:
        """Yield the comments in front of the spec."""
        with self.path.open(encoding="utf-8") as file:
            for line in takewhile(lambda line: line.startswith("#"), file):
                yield line.lstrip("# ").strip()


def recipes() -> list[Recipe]:
    """List all recipes, by name."""
    by_name = {path.stem: Recipe(path.stem, path) for path in _files()}
    return [by_name[name] for name in sorted(by_name)]


def _files() -> Iterator[Path]:
    for entry in entry_points(group=GROUP):
        module = find_spec(entry.module.partition(".")[0])
        for folder in (module.submodule_search_locations or ()) if module else ():
            yield from sorted((Path(folder) / "recipes").glob("*.yaml"))
    packaged = Path(__file__).parents[1] / "examples"
    own = packaged if packaged.is_dir() else Path(__file__).parents[2] / "examples"
    yield from sorted(own.glob("*.yaml"))


def write_recipe(name: str, folder: Path, force: bool = False) -> list[Path]:
    """Copy a recipe, and the files that it reads from its own folder, into a folder."""
    by_name = {recipe.name: recipe for recipe in recipes()}
    if name not in by_name:
        raise RmplugError(
            f"no recipe {name!r}{did_you_mean(name, by_name)} (recipes: {some(by_name, 20)})"
        )
    source = by_name[name].path
    files = [Path(source.name), *files_beside(source)]
    copies = {source.parent / path: folder / path for path in files}
    other = [
        str(target)
        for origin, target in copies.items()
        if target.exists() and target.read_bytes() != _content(origin)
    ]
    if other and not force:
        raise RmplugError(f"{some(other)}: there already, and different; --force writes over it")
    try:
        for origin, target in copies.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(origin))
        return [*copies.values(), write_schema(folder)]
    except OSError as error:
        raise RmplugError(f"cannot write into the folder {folder}: {error.strerror}") from error


def _content(origin: Path) -> bytes:
    """Return the content of a file as it is written: a spec names the schema in its folder."""
    content = origin.read_bytes()
    named = b"$schema=../schemas/" + SCHEMA.encode()
    return content.replace(named, b"$schema=" + SCHEMA.encode(), 1)


def write_schema(folder: Path) -> Path:
    """Write the schema that the specs of a folder name, so that an editor knows every kind."""
    from rmplug._kinds.registry import discover
    from rmplug._kinds.schema import run_schema
    from rmplug._store.files import to_json

    target = folder / SCHEMA
    target.write_bytes(to_json(run_schema(discover())))
    return target


def files_beside(source: Path) -> Iterator[Path]:
    """Yield the files that a spec reads from its own folder, relative to that folder."""
    for path in dict.fromkeys(_beside(read_source(source).data)):
        location = source.parent / path
        files = sorted(location.rglob("*")) if location.is_dir() else [location]
        yield from (file.relative_to(source.parent) for file in files if file.is_file())


def _beside(data: object) -> Iterator[Path]:
    """Yield the relative paths that a spec names."""
    if isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from _beside(inner)
    elif isinstance(data, str) and "/" in data and len(data) < 200 and data.isprintable():
        path = Path(data)
        if not path.is_absolute() and ".." not in path.parts:
            yield path
