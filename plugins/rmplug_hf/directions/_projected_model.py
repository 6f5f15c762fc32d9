"""A model together with the projection of its states: its folder, and its loading."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from safetensors.numpy import save_file

from rmplug import Checkpoint, DataError, Fit, Origin, RewardModel, reopen
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.digests import model_digests
from rmplug.models.files import read_json, read_tensors
from rmplug.models.installed_encoders import MINILM
from rmplug.models.reopen import open_trained
from rmplug.models.training_examples import FILE as EXAMPLES
from rmplug_hf.loading._state_change import AffineChange, Positions
from rmplug_hf.loading._transformer import Transformer
from rmplug_hf.loading.loaders import PERMISSIONS, HubModel

from ._directions_file import is_layer, place_of, read_directions
from ._projection import Projection, chosen, projected, removal, transformer_of

if TYPE_CHECKING:
    from .projecting import Projected, ProjectOut

CONFIG, TENSORS, MODEL, KIND, FORMAT = (
    "config.json", "projection.safetensors", "model", "project-out", 1,
)  # fmt: skip


def projection_of(step: Projected | ProjectOut, directions: Fit) -> Projection:
    """Return the projection that a step asks for."""
    place = place_of(read_directions(directions.directory), step.place)
    change = removal(place, list(chosen(place, step.targets).values()), step.projection)
    return Projection(place.layer, place.pooling, step.positions, change)


def load_projected(step: Projected, model: RewardModel, directions: Fit) -> RewardModel:
    """Return the model with the directions taken out of its states."""
    return projected(model, projection_of(step, directions))


def save_projected(
    step: ProjectOut, model: Checkpoint | RewardModel, directions: Fit, directory: Path
) -> None:
    """Write the folder: a copy of a checkpoint's, or where the model is, and the projection. The
    model is opened, to prove that it fits."""
    projection = projection_of(step, directions)
    projected(model.open(), projection)
    if isinstance(model, Checkpoint):
        # texts of examples are those of a training, and whoever shares the copy would share them
        shutil.copytree(model.directory, directory / MODEL, ignore=shutil.ignore_patterns(EXAMPLES))
        about: dict[str, Any] = {"model": {"kind": model.made_by.kind}}  # type: ignore[attr-defined]
    else:
        origin = _origin_of(transformer_of(model))
        about = {"model": asdict(origin)}
    config = {
        "format": FORMAT,
        "kind": KIND,
        **about,
        "layer": projection.layer,
        "pooling": projection.pooling,
        "positions": projection.positions,
    }
    text = json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
    change = projection.change
    tensors = {"read": change.read, "write": change.write, "mean": change.mean}
    save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, directory / TENSORS)


def _origin_of(model: Transformer) -> Origin:
    """Return where a loaded model is, how it is used and the digests of its files, without
    permissions."""
    origin = model.origin()
    if origin is not None:
        return origin
    step = getattr(model, "step", None)
    if not isinstance(step, HubModel):
        raise DataError(
            f"{model.name or type(model).__name__} cannot be loaded again from a record; give the "
            "checkpoint of its trainer"
        )
    lost = unrecorded(step)
    if lost:
        raise DataError(
            f"the {step.kind} was loaded with {some(lost)}, which the record of a model cannot "
            "hold; give a model whose folder has all of it"
        )
    folder = model.loaded.folder
    params = step.model_dump(mode="json", include=set(step.reopened_with))
    if step.path is not None:
        params["path"] = str(step.path.absolute())
    elif step.name != MINILM.name:
        params["revision"] = folder.name
    if step.adapter is not None:
        params["adapter"] = str(step.adapter.absolute())
    return Origin(step.kind, params, model_digests(folder, step.adapter))


def unrecorded(step: HubModel) -> list[str]:
    """Return the parameters of a step that decide on scores and that no record may hold."""
    without = step.reopened_with | step.neutral | set(PERMISSIONS)
    fields = type(step).model_fields
    return sorted(
        name for name in set(fields) - without if getattr(step, name) != fields[name].default
    )


def open_projected(directory: Path, changed: Mapping[str, Any]) -> RewardModel:
    """Open the model of a folder, which may be a stranger's, with its projection; ``changed`` has
    the user's settings of the model."""
    config = read_json(directory / CONFIG)
    try:
        model = config["model"]
        kind, layer, pooling = model["kind"], config["layer"], config["pooling"]
        if (config["kind"], config["format"]) != (KIND, FORMAT) or not isinstance(kind, str):
            raise ValueError("it is of another kind or format")
        if not is_layer(layer) or not (pooling is None or type(pooling) is str):
            raise ValueError("its layer is no whole number, or its pooling no text")
        if config["positions"] not in get_args(Positions):
            raise ValueError("its positions are neither all nor last")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{directory / CONFIG} does not describe a projected model ({type(error).__name__}: "
            f"{error}); give the folder that the step project-out wrote"
        ) from error
    projection = Projection(layer, pooling, config["positions"], _read_change(directory / TENSORS))
    inside = directory / MODEL
    if "params" in model:
        opened = reopen(Origin(kind, model["params"], model.get("digests")), directory, **changed)
    elif inside.is_symlink():  # one that leads back here would never end
        raise DataError(f"{inside} is a link; copy the folder that project-out wrote as a whole")
    else:
        opened = open_trained(kind, inside, directory, **changed)
    return projected(opened, projection)


def _read_change(path: Path) -> AffineChange:
    tensors = read_tensors(path)
    read, write, mean = (tensors.get(name, np.zeros(0)) for name in ("read", "write", "mean"))
    fits = read.ndim == 2 and read.shape == write.shape and mean.shape == read.shape[1:]
    if not fits or not all(_is_finite(one) for one in (read, write, mean)):
        raise DataError(f"{path} does not hold a projection; save it again with project-out")
    read, write, mean = (one.astype(np.float64) for one in (read, write, mean))
    return AffineChange(read, write, mean, np.zeros(len(mean)))


def _is_finite(numbers: Array) -> bool:
    return bool(np.isfinite(numbers).all())
