"""Settings that are refused in a model's folder: those that fetch code from a hub and run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rmplug.errors import DataError

from .files import MOST_JSON, parse_json

LARGE = ("tokenizer.json", "vocab.json", "vocab.txt")
"""Files of vocabularies, which are no settings."""
IMPLEMENTATIONS = ("attn_implementation", "experts_implementation")
"""The settings in which a name with a slash means a kernel that is fetched from the hub and run."""


def check_settings(folder: Path) -> None:
    """Raise DataError where a JSON file of the folder cannot be read within bounds, or asks for an
    implementation on a hub."""
    for path in sorted(folder.glob("*.json")):
        if path.name not in LARGE:
            _check(path)


def _check(path: Path) -> None:
    try:
        if not path.is_file() or path.stat().st_size > MOST_JSON:
            raise ValueError(f"no file, or one of more than {MOST_JSON:,} bytes")
        settings = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no JSON file ({error}); copy or download it again") from error
    for name, value in _entries(settings):
        texts = value.values() if isinstance(value, Mapping) else (value,)
        asked = [text for text in texts if isinstance(text, str) and "/" in text]
        if asked and name.strip("_").removesuffix("_internal") in IMPLEMENTATIONS:
            raise DataError(
                f"{path} asks for {name}: {asked[0]:.80}, which is code of a hub; only your spec "
                "can choose an implementation (attention)"
            )


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield all names and values of a JSON value, however deep."""
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            yield from item.items()
        rest += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
