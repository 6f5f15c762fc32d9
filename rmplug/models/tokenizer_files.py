"""Limits to what a ``tokenizer.json`` does to a text: replacements that grow it without bounds, and
patterns whose search takes for ever, are refused before a tokenizer is made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from rmplug.errors import DataError

from .files import read_json

FILE = "tokenizer.json"
PARTS = ("normalizer", "pre_tokenizer", "decoder")
MOST_CONTENT, MOST_GROWTH = 100, 10_000
"""Characters that one replacement writes, and by how much all of them may lengthen a text."""
ENDLESS = re.compile(r"\([^()]*[|+*][^()]*\)\s*[+*{]|.{5000}", re.DOTALL)
"""A repeated group of alternatives or repetitions, or a long pattern;
those of fixed length ((\\d{3})+) are in use."""


def check_tokenizer_file(path: Path) -> None:
    """Raise DataError where a ``tokenizer.json`` may take endless time or memory; a folder need not
    have one."""
    if not path.is_file():
        return
    settings = read_json(path)
    for part in PARTS:
        steps = _list_steps(settings.get(part), path)
        if any(ENDLESS.search(_pattern(step, "Regex")) for step in steps):
            raise DataError(f"the {part} in {path} has a pattern that may take for ever")
        written = [step for step in steps if step.get("type") in ("Replace", "Prepend")]
        longest = max((len(_content(step)) for step in written), default=0)
        if longest > MOST_CONTENT or prod(map(_growth, written)) > MOST_GROWTH:
            raise DataError(f"the {part} in {path} makes texts longer without bounds")


def _list_steps(value: Any, path: Path) -> list[Mapping[str, Any]]:
    try:
        return list(_steps(value))
    except (RecursionError, TypeError) as error:
        raise DataError(f"{path} is nested too deeply or holds no steps") from error


def _steps(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
    for part in value.values() if isinstance(value, Mapping) else value or ():
        if isinstance(part, Mapping | list):
            yield from _steps(part)


def _pattern(step: Mapping[str, Any], sort: str) -> str:
    pattern = step.get("pattern")
    return str(pattern.get(sort) or "") if isinstance(pattern, Mapping) else ""


def _content(step: Mapping[str, Any]) -> str:
    return str(step.get("content") or step.get("prepend") or "")


def _growth(step: Mapping[str, Any]) -> float:
    """By how much a text may grow; a pattern that matches nothing writes between all characters."""
    content, text = len(_content(step)), _pattern(step, "String")
    return max(1.0, content / len(text)) if text else 1.0 + content
