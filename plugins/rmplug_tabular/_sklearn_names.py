"""The public classes of the installed scikit-learn and their parameters, read from its source
without importing it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

from rmplug.errors import did_you_mean

NOT_CALLED = ("scipy.stats", "pandas")
"""What scikit-learn imports at the head of modules for what is not called here."""


@cache
def public_names() -> frozenset[str]:
    """Return every name that a package of scikit-learn exports; empty where it is not installed."""
    spec = find_spec("sklearn")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    texts = [
        path.read_text("utf-8") for folder in folders for path in Path(folder).glob("*/__init__.py")
    ]
    return frozenset(name for text in texts for name in re.findall(r'"([A-Z][A-Za-z0-9]+)"', text))


@cache
def parameters_of(name: str) -> Mapping[str, bool] | None:
    """Return the parameters of an estimator by its public class name, true for each with a default;
    None where that cannot be read from its source (importing scikit-learn takes a second)."""
    module = file_of(name)
    if module is None:
        return None
    source = module.read_text("utf-8")
    begins = re.search(rf"^class {name}\b.*?(?=^class |\Z)", source, re.MULTILINE | re.DOTALL)
    header = (
        re.search(r"^    def __init__\(.*?\):\n", begins.group(), re.M | re.S) if begins else None
    )
    if header is None:
        return None
    try:
        function = ast.parse(dedent(header.group()) + "    pass").body[0]
    except SyntaxError:
        return None
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    if arguments.vararg or arguments.kwarg:
        return None
    plain = arguments.args[1:]
    needed = len(plain) - len(arguments.defaults)
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {
        **{each.arg: index >= needed for index, each in enumerate(plain)},
        **{each.arg: default is not None for each, default in named},
    }


def file_of(name: str) -> Path | None:
    """Find the file that defines a public class: its package imports it from there."""
    spec = find_spec("sklearn")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    for package in [path for folder in folders for path in Path(folder).glob("*/__init__.py")]:
        text = package.read_text("utf-8")
        if f'"{name}"' not in text:
            continue
        start = rf"from (?:\.|sklearn\.{package.parent.name}\.)"
        for line in re.finditer(start + r"([\w.]+) import (\([^)]*\)|.*)", text):
            if re.search(rf"\b{name}\b", line.group(2)):
                inner = package.parent.joinpath(*line.group(1).split("."))
                files = (inner.with_suffix(".py"), inner / "__init__.py")
                return next((file for file in files if file.is_file()), None)
    modules = [path for folder in folders for path in Path(folder).glob("*.py")]
    return next((path for path in modules if f"\nclass {name}(" in path.read_text("utf-8")), None)


def wrong_args(name: str, args: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each arg that an estimator, or one inside it, does not have or lacks."""
    parameters = parameters_of(name)
    if parameters is not None:
        yield from unknown_args(name, parameters, args)
    for value in args.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Mapping) and "name" in inner and set(inner) <= {"name", "args"}:
                yield from wrong_args(str(inner["name"]), inner.get("args", {}))


def unknown_args(
    name: str, parameters: Mapping[str, bool], args: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a message for each arg that is no parameter of an estimator, or is lacking."""
    for key in args:
        if key not in parameters:
            hint = did_you_mean(key, parameters)
            yield f"{name} has no parameter {key!r}{hint}; it has {', '.join(parameters)}"
    needed = [key for key, optional in parameters.items() if not optional and key not in args]
    if needed:
        yield (
            f"{name} needs {', '.join(needed)} in args; an estimator is written "
            "{name: Ridge, args: {alpha: 1.0}}"
        )
