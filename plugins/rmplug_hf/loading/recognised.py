"""The recognition of model folders by their ``config.json``, and of names on the hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rmplug import DataError
from rmplug.models.files import read_json
from rmplug.models.weights import check_weights

TOKENIZER_FILE = re.compile(r"tokenizer|vocab|spiece|.*\.(model|tiktoken)$")
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")


def folder_config(source: str) -> dict[str, Any] | None:
    """Read the ``config.json`` of a folder; None where there is none that can be read."""
    try:
        return read_json(Path(source) / "config.json")
    except DataError:
        return None


def folder_mistake(folder: Path) -> str | None:
    """Return the defect of a model's folder, judged by its file names and its settings; None
    without; weights are not read."""
    if not folder.is_dir():
        return f"{folder} is a file; give the folder of a model"
    if (folder / "adapter_config.json").is_file():
        if trained_kind(folder) is not None:
            return None
        return f"{folder} is an adapter, not a model; load its model, and give this as adapter"
    if not (folder / "config.json").is_file():
        return f"{folder} is no folder of a model: it has no config.json"
    try:
        read_json(folder / "config.json")
    except DataError as error:
        return str(error)
    return None


def tokenizer_mistake(folder: Path) -> str | None:
    """Return what a model's folder lacks to make tokens, judged by its file names; None without."""
    names = (file.name for file in folder.iterdir())
    if any(TOKENIZER_FILE.match(name) for name in names):
        return None
    return f"{folder} has no tokenizer (tokenizer.json, or the vocabulary of one); copy it there"


def has_chat_template(folder: Path) -> bool:
    """Check whether the files of a tokenizer hold a chat template, or may."""
    if any((folder / name).exists() for name in TEMPLATE_FILES):
        return True
    settings = folder / "tokenizer_config.json"
    try:
        return settings.is_file() and bool(read_json(settings).get("chat_template"))
    except DataError:
        return True  # what is wrong with the file is told when it is opened


def weights_of_folder_mistake(folder: Path, allow_pickle: bool) -> str | None:
    """Return what is wrong with the weights of a model's folder, of which the headers alone are
    read; None without."""
    try:
        check_weights(folder, allow_pickle)
    except (DataError, OSError) as error:
        return str(error)
    return None


def adapter_mistake(folder: Path) -> str | None:
    """Return the defect of an adapter's folder, judged by its file names; None without."""
    if (folder / "adapter_config.json").is_file():
        return None
    return f"{folder} is no adapter: it has no adapter_config.json"


def is_classifier(config: dict[str, Any]) -> bool:
    """Check whether a model's config names a sequence classifier."""
    names = config.get("architectures")
    return isinstance(names, list) and any("ForSequenceClassification" in str(n) for n in names)


def labels_of_config(config: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the outputs that ``transformers`` gives a classifier with this config, in order; one
    alone is called ``reward``. None where the config does not determine them."""
    if "model_type" not in config:
        return None
    labels, count = config.get("id2label"), config.get("num_labels")
    if labels is None:
        count = 2 if count is None else count  # what the library takes where neither is written
        labels = {str(place): f"LABEL_{place}" for place in range(count if _few(count) else 0)}
    if not isinstance(labels, dict) or not labels or set(labels) != set(_places(labels)):
        return None
    if count not in (None, len(labels)):
        return None
    names = tuple(str(labels[place]) for place in _places(labels))
    return ("reward",) if len(names) == 1 else names


def layers_of_config(config: dict[str, Any]) -> int | None:
    """Return the number of layers of a model with this config; None where it does not tell, as of
    one with an encoder and a decoder, or one inside another."""
    if config.get("is_encoder_decoder") or "text_config" in config:
        return None
    count = config.get("num_hidden_layers", config.get("n_layer"))
    return count if _few(count) else None


def _few(count: Any) -> bool:
    return isinstance(count, int) and 0 < count <= 10_000


def _places(labels: dict[str, Any]) -> list[str]:
    return [str(place) for place in range(len(labels))]


def is_hub_name(source: str) -> bool:
    """Check whether a text can only be a name on the hub: ``owner/model``, and no folder here."""
    return re.fullmatch(r"(?!\.)[\w.-]+/[\w.-]+", source) is not None and not Path(source).exists()


def trained_kind(source: str | Path) -> str | None:
    """Return the kind of loader that a trainer wrote a folder for; None for any other folder."""
    from ._format_file import format_kind

    return format_kind(source)


def trained_outputs(*folders: Path | None) -> tuple[str, ...] | None:
    """Return the names of the outputs that the first folder with a ``format.json`` records."""
    from ._format_file import find_format

    for folder in folders:
        try:
            found = None if folder is None else find_format(folder)
        except (DataError, OSError):
            return None  # what is wrong with it is told when it is opened
        if found is not None:
            names = found.params.get("outputs")
            return tuple(map(str, names)) if isinstance(names, list) else None
    return None
