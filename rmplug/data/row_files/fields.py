"""The fields of a row: read by their dotted names, converted, flattened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rmplug.data.raw_texts import MISSING, BadRow, find, shown

DEEPEST = 6
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|nan", re.IGNORECASE)


def need(value: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; raise ``BadRow`` where a row has none."""
    field = find(value, path)
    if field is MISSING:
        raise BadRow(f"no {path!r}", missing=path)
    return field


def identifier(value: Any, name: str) -> str:
    """Return an id or a group as text; raise ``BadRow`` unless it is text or a whole number."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadRow(f"{name} is neither text nor a whole number", f"but {shown(value)}")


def number(value: Any, name: str) -> float | None:
    """Return a number, also one written as text or alone in a list; None where it is missing (null
    or empty text); raise ``BadRow`` for anything else."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or value == "":
        return None
    if isinstance(value, str) and (
        _NUMBER.fullmatch(value.strip()) or value.strip().lower() == "nan"
    ):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise BadRow(f"{name} is not a number", f"but {shown(value)}")


def flatten(value: Mapping[str, Any], whole: Iterable[str] = ()) -> dict[str, Any]:
    """Return nested mappings as dotted names; the top-level names in ``whole`` stay as they are."""
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if type(item) is dict and name not in whole:
            _flatten_into(flat, f"{name}.", item, DEEPEST)
        else:
            flat[name] = item
    return flat


def _flatten_into(flat: dict[str, Any], prefix: str, value: Mapping[str, Any], depth: int) -> None:
    for name, item in value.items():
        if type(item) is dict and depth:
            _flatten_into(flat, f"{prefix}{name}.", item, depth - 1)
        else:
            flat[prefix + name] = item
