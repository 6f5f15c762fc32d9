"""What a folder with a ``config.json`` holds, or what a name means, seen without loading it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rmplug import DataError
from rmplug.models.files import read_json


def folder_config(source: str) -> dict[str, Any] | None:
    """The ``config.json`` of a folder, or None where there is none that can be read."""
    try:
        return read_json(Path(source) / "config.json")
    except DataError:
        return None


def folder_mistake(folder: Path) -> str | None:
    """What is wrong with the folder of a model, as far as its names of files and its settings tell;
    weights are not read."""
    if not folder.is_dir():
        return f"{folder} is a file; give the folder of a model"
    if (folder / "adapter_config.json").is_file():
        return f"{folder} is an adapter, not a model; load its model, and give this as adapter"
    if not (folder / "config.json").is_file():
        return f"{folder} is no folder of a model: it has no config.json"
    try:
        read_json(folder / "config.json")
    except DataError as error:
        return str(error)
    return None


def adapter_mistake(folder: Path) -> str | None:
    """What is wrong with the folder of an adapter, as far as its names of files tell."""
    if (folder / "adapter_config.json").is_file():
        return None
    return f"{folder} is no adapter: it has no adapter_config.json"


def is_classifier(config: dict[str, Any]) -> bool:
    """Whether a model's config names a sequence classifier."""
    return any(
        "ForSequenceClassification" in str(name) for name in config.get("architectures") or ()
    )


def is_hub_name(source: str) -> bool:
    """Whether a text can only be a name on the hub: ``owner/model``, and no folder here."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", source) is not None and not Path(source).exists()
