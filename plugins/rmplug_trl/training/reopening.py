"""The files of a trainer, opened again by the loader of the model that it was trained on.

A spec may allow code or pickles to that model. The permission is for the model's own files, where
the spec says they are: it holds for an adapter on just these files, and for a whole model whose
code is theirs. A folder that was altered gets none, whatever it records.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rmplug import DataError, Origin, RewardModel, reopen
from rmplug.models.digests import defining_files, known_checksum, model_digests
from rmplug.models.files import read_json
from rmplug.models.settings import check_settings

CODE, PICKLES = "trust_remote_code", "allow_pickle_weights"
SETTINGS = ("config.json", "tokenizer_config.json", "processor_config.json")


def open_trained(kind: str, directory: Path, changed: Mapping[str, Any]) -> RewardModel:
    """Open the model in ``directory`` by the loader ``kind``. ``changed`` overrides what its format
    says; a ``path`` in it is the place of the model that it was trained on, which permissions in it
    are for."""
    return reopen(Origin(kind, {}), directory, **params_to_open(directory, changed))


def params_to_open(directory: Path, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the loader that opens ``directory``."""
    params = {name: value for name, value in changed.items() if name not in ("path", "adapter")}
    place = changed.get("path")
    if place is None:
        return {**params, "path": directory}
    known = has_code_of(directory, Path(place))
    adapter = (directory / "adapter_config.json").is_file()
    if known and adapter and is_on(directory, Path(place)):
        return {**params, "path": place, "adapter": directory}
    # a trainer writes no pickles
    refused = (PICKLES,) if known and not adapter else (PICKLES, CODE)
    return {**{n: v for n, v in params.items() if n not in refused}, "path": directory}


def is_on(adapter: Path, place: Path) -> bool:
    """Check whether the files at a place are those that an adapter was trained on."""
    try:
        below = read_json(adapter / "format.json").get("below")
    except DataError:
        return False
    return isinstance(below, Mapping) and below.get("digests") == model_digests(place)


def has_code_of(directory: Path, place: Path) -> bool:
    """Check whether all code that a folder would run is that of the folder ``place``: each file of
    Python is there as it is, and none is elsewhere."""
    check_settings(directory)
    own, given = (_code(folder) for folder in (directory, place))
    return own.items() <= given.items() and not any(_is_elsewhere(directory / n) for n in SETTINGS)


def _code(folder: Path) -> dict[str, str]:
    files = defining_files(folder)
    return {name: known_checksum(path) for name, path in files.items() if name.endswith(".py")}


def _is_elsewhere(path: Path) -> bool:
    """Check whether a file of settings names classes on a hub (``name--module.Class``), or in
    another folder than its own (``folder/module.Class``)."""
    named = str(read_json(path).get("auto_map", "")) if path.is_file() else ""
    return any(sign in named for sign in ("--", "/", "\\"))
