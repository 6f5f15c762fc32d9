"""What rmplug and its plugins import is declared, and what every installation gets is light."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [ROOT / "rmplug", *(ROOT / "plugins").glob("rmplug_*")]
OWN = {package.name for package in PACKAGES}


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Top-level names of the packages of others that some statements import."""
    for node in nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        tops = {name.partition(".")[0] for name in names}
        yield from tops - OWN - sys.stdlib_module_names


def normalised(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def declared() -> tuple[set[str], set[str]]:
    """Distributions that every installation gets, and those that an extra for users brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    optional = [entry for extra in extras if extra != "dev" for entry in extras[extra]]
    return set(map(normalised, project["dependencies"])), set(map(normalised, optional))


def distributions(names: set[str]) -> set[str]:
    of = installed()
    return {normalised(of[name][0]) for name in names}


installed = cache(packages_distributions)


@cache
def trees() -> list[tuple[Path, ast.Module]]:
    files = [file for package in PACKAGES for file in package.rglob("*.py")]
    return [(file, ast.parse(file.read_text(encoding="utf-8"))) for file in files]


def test_everything_that_is_imported_is_declared() -> None:
    always, optional = declared()
    found = {name for _, tree in trees() for name in imported(ast.walk(tree))}
    assert distributions(found) - always - optional == set()


def test_what_the_core_imports_at_once_comes_with_every_installation() -> None:
    core = [tree for file, tree in trees() if file.is_relative_to(ROOT / "rmplug")]
    found = {name for tree in core for name in imported(iter(tree.body))}
    assert distributions(found) - declared()[0] == set()


def test_every_installation_gets_only_what_is_imported() -> None:
    found = {name for _, tree in trees() for name in imported(ast.walk(tree))}
    assert declared()[0] - distributions(found) == set()
