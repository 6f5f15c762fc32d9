"""Descriptions of the fields of a class: the docstrings below them, read on request."""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel


def field_docs(cls: type[Any]) -> Mapping[str, str]:
    """Read the description of each field of a pydantic class or dataclass, inherited ones too, by
    its name in Python and by its alias."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__ != BaseModel.__module__:
            docs |= _written_below(base)
    if issubclass(cls, BaseModel):
        fields = {name: info.description or "" for name, info in cls.model_fields.items()}
        by_hand = {name: inspect.cleandoc(text) for name, text in fields.items() if text}
        docs = {name: text for name, text in (docs | by_hand).items() if name in fields}
        aliases = {name: info.alias for name, info in cls.model_fields.items() if info.alias}
        docs |= {alias: docs[name] for name, alias in aliases.items() if name in docs}
    return docs


def inner_classes(cls: type[Any]) -> dict[str, type[Any]]:
    """Find the pydantic classes and dataclasses that fields are made of, at any depth, by name."""
    classes: dict[str, type[Any]] = {}
    waiting = list(_field_types(cls))
    while waiting:
        inner = waiting.pop(0)
        if inner.__name__ not in classes:
            classes[inner.__name__] = inner
            waiting.extend(_field_types(inner))
    return classes


def _field_types(cls: type[Any]) -> Iterator[type[Any]]:
    if issubclass(cls, BaseModel):
        for info in cls.model_fields.values():
            yield from classes_in(info.annotation)
    else:
        for hint in get_type_hints(cls).values():
            yield from classes_in(hint)


def classes_in(annotation: Any) -> Iterator[type[Any]]:
    """Find the pydantic classes and dataclasses in an annotation: ``list[Rating] | None``."""
    if isinstance(annotation, type) and (
        is_dataclass(annotation) or issubclass(annotation, BaseModel)
    ):
        yield annotation
    for inner in get_args(annotation):
        yield from classes_in(inner)


def _written_below(cls: type[Any]) -> Mapping[str, str]:
    try:
        file = inspect.getsourcefile(cls)
    except (TypeError, OSError):  # a built-in, or typed at a prompt
        return {}
    return _classes(file).get(cls.__qualname__, {}) if file else {}


@cache
def _classes(file: str) -> dict[str, dict[str, str]]:
    """Read the docstrings below the fields of every class in a file."""
    classes: dict[str, dict[str, str]] = {}
    _visit(ast.parse("".join(linecache.getlines(file))), "", classes)
    return classes


def _visit(node: ast.AST, prefix: str, classes: dict[str, dict[str, str]]) -> None:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.ClassDef):
            name = prefix + inner.name
            classes[name] = dict(_fields(inner))
            _visit(inner, f"{name}.", classes)
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            _visit(inner, f"{prefix}{inner.name}.<locals>.", classes)
        else:
            _visit(inner, prefix, classes)


def _fields(cls: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(cls.body, cls.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
