"""The model that a training starts from: where it is, and how a conversation is written for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rmplug.errors import DataError

from .files import read_json
from .hub import fetched
from .installed_encoders import MINILM

CONFIG, TOKENIZER, CHAT = "config.json", "tokenizer_config.json", "chat_template.jinja"
SPECIAL = "special_tokens_map.json"
TRAINED = ("format.json", "adapter_config.json")
"""Files of models that were trained before, which say themselves how they are loaded."""

DIALOGUE = "\n\nHuman: {prompt}\n\nAssistant: {response}"
"""The format of a conversation for a decoder that has no chat template."""


def loading_of(model: str) -> dict[str, Any]:
    """Return the parameters of `sequence-classifier` for a folder, a name on the hub or `minilm`:
    ``head: new`` unless its ``config.json`` names a classifier with one output, and a template
    unless its tokenizer has one. Raises DataError where there is no such model."""
    if model == MINILM.name:
        return {"name": model, "head": "new", "template": "pair"}
    if Path(model).is_file():
        raise DataError(
            f"{model} is a file; give the folder of a model, a name on the hub, or {MINILM.name}"
        )
    if Path(model).is_dir():
        return {"path": model, **_reading(Path(model))}
    small = (CONFIG, TOKENIZER, CHAT, SPECIAL, *TRAINED)
    return {"name": model, **_reading(fetched(model, None, small))}


def _reading(folder: Path) -> dict[str, str]:
    """Return head and template of the model in a folder; nothing where it says them itself."""
    if any((folder / name).is_file() for name in TRAINED):
        return {}
    config = read_json(folder / CONFIG)
    head = {} if _has_head(config) else {"head": "new"}
    return {**head, **_template(folder, config)}


def _has_head(config: Mapping[str, Any]) -> bool:
    """Check whether a config names a sequence classifier with one output; one with two is of
    another task."""
    labels = config.get("id2label")
    return (
        "ForSequenceClassification" in _classes(config) and labels is not None and len(labels) == 1
    )


def _classes(config: Mapping[str, Any]) -> str:
    return str(config.get("architectures"))


def _template(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Return nothing where the tokenizer has a chat template; else two segments for an encoder
    and a dialogue as text for a decoder."""
    marks: dict[str, Any] = {}
    for name in (SPECIAL, TOKENIZER):
        marks |= read_json(folder / name) if (folder / name).is_file() else {}
    if marks.get("chat_template") or (folder / CHAT).is_file():
        return {}
    encoder = "ForMaskedLM" in _classes(config) or (
        marks.get("cls_token") and marks.get("sep_token")
    )
    return {"template": "pair" if encoder else DIALOGUE}
