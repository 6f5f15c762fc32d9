"""What made a reward model, so that a folder can name it and it can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import discover
from rmplug.artifacts import Origin, RewardModel
from rmplug.errors import DataError, RmplugError
from rmplug.families import ModelLoader, Trainer


def load_model(cls: type[ModelLoader], params: Mapping[str, Any]) -> RewardModel:
    """The model that a loader gives with these parameters; a wrong one is named."""
    from pydantic import ValidationError

    try:
        model: RewardModel = getattr(cls.model_validate(dict(params)), cls.method)()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RmplugError(f"{cls.kind}: {place}: {first['msg']}") from error
    return model


def reopen(origin: Origin, **changed: Any) -> RewardModel:
    """The model that an origin names, made again; ``changed`` says where it is or how it runs now.
    Refused when one of its files is not what it was."""
    cls = discover().find(origin.kind, ModelLoader).cls
    if not issubclass(cls, ModelLoader):
        raise RmplugError(f"{origin.kind!r} is a {cls.family}, not a model loader")
    params = {**origin.params, **changed}
    if changed.get("path") is not None:
        params.update(dict.fromkeys({"name", "revision"} & set(params)))
    place = params.get("path")
    if place is not None and not Path(place).exists():
        raise DataError(f"the {origin.kind} {place} is not there; say where it is now: encoder")
    model = load_model(cls, params)
    found = model.origin()
    digests = {} if found is None else found.digests
    names = sorted({*origin.digests, *digests}) if origin.digests else []
    other = [name for name in names if origin.digests.get(name) != digests.get(name)]
    if other:
        raise DataError(
            f"the {origin.kind} {place or params.get('name')} is not the one that was used: "
            f"{', '.join(other[:5])} differ; use the files that it was trained with, or train again"
        )
    return model


def open_folder(folder: Path, **changed: Any) -> RewardModel:
    """The reward model of a folder whose ``config.json`` names, as ``kind``, the trainer that
    wrote it; ``changed`` is handed to that trainer's ``open``."""
    try:
        kind = str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder / 'config.json'} names no kind of trainer "
            f"({type(error).__name__}: {error}); give the folder that a trainer wrote"
        ) from error
    maker = discover().find(kind, Trainer).cls
    if not issubclass(maker, Trainer):
        raise RmplugError(f"{folder} was made by {kind}, which trains no model")
    model: RewardModel = getattr(maker, "open")(folder, **changed)  # noqa: B009
    return model
