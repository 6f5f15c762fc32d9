"""The files of directions: numbers as safetensors, names and places as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.files import read_json, read_tensors

FILE, TENSORS, FORMAT = "directions.json", "directions.safetensors", 1
AGAIN = "give the folder that the step probe wrote, or fit again"


@dataclass(frozen=True)
class Direction:
    """The probe of one target: ``weights`` (c, d) and ``bias`` (c,) for states as they are,
    ``pattern`` (c, d) the covariance of states and target, ``deviation`` (c,) of what the weights
    give, ``of_folds`` (k, c, d) the weights without each fold."""

    classes: tuple[str, ...]
    weights: Array
    bias: Array
    pattern: Array
    deviation: Array
    of_folds: Array


@dataclass(frozen=True)
class PlaceDirections:
    """The probes of one place; ``mean`` (d,) of its states and ``random`` (n, d), directions with
    their covariance."""

    name: str
    layer: int | None
    pooling: str | None
    mean: Array
    random: Array
    targets: Mapping[str, Direction]


NUMBERS = ("weights", "bias", "pattern", "deviation", "of_folds")


def write_directions(directory: Path, places: Sequence[PlaceDirections]) -> None:
    """Write the directions of all places."""
    tensors: dict[str, Array] = {}
    for p, place in enumerate(places):
        tensors[f"{p}.mean"] = place.mean
        tensors[f"{p}.random"] = place.random.astype(np.float32)
        for t, direction in enumerate(place.targets.values()):
            tensors |= {f"{p}.{t}.{name}": getattr(direction, name) for name in NUMBERS}
    content = {
        "format": FORMAT,
        "places": [
            {"name": place.name, "layer": place.layer, "pooling": place.pooling} for place in places
        ],
        "targets": [
            {"name": name, "classes": list(one.classes)} for name, one in places[0].targets.items()
        ],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (directory / FILE).write_text(text + "\n", encoding="utf-8")
    save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, directory / TENSORS)


def read_directions(directory: Path) -> list[PlaceDirections]:
    """Read the directions in a folder, which may be a stranger's; anything else is refused."""
    content = read_json(directory / FILE)
    try:
        if content["format"] != FORMAT:
            raise ValueError("it is of another format")
        targets = {str(one["name"]): tuple(map(str, one["classes"])) for one in content["targets"]}
        places = [_place(one) for one in content["places"]]
        if not places or not targets:
            raise ValueError("it has no places, or no targets")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{directory / FILE} does not describe directions ({type(error).__name__}: {error}); "
            f"{AGAIN}"
        ) from error
    tensors = read_tensors(directory / TENSORS)
    return [_read(directory, tensors, p, place, targets) for p, place in enumerate(places)]


def _place(entry: Mapping[str, Any]) -> tuple[str, int | None, str | None]:
    layer, pooling = entry["layer"], entry["pooling"]
    if not is_layer(layer) or not (pooling is None or type(pooling) is str):
        raise ValueError("a layer is no whole number, or a pooling no text")
    return str(entry["name"]), layer, pooling


def is_layer(value: Any) -> bool:
    """Check for the number of a layer, as `hidden-state` takes it (below 0 from the end), or None
    for the model's own."""
    return value is None or type(value) is int


def _read(
    directory: Path,
    tensors: Mapping[str, Array],
    p: int,
    place: tuple[str, int | None, str | None],
    targets: Mapping[str, tuple[str, ...]],
) -> PlaceDirections:
    """Return the directions of a place, their shapes and numbers checked."""
    width = tensors[f"{p}.mean"].size if f"{p}.mean" in tensors else 0
    read: dict[str, Direction] = {}
    for t, (name, classes) in enumerate(targets.items()):
        c = len(classes) if len(classes) > 2 else 1
        shapes = {"weights": (c, width), "bias": (c,), "pattern": (c, width), "deviation": (c,)}
        found = {what: _tensor(directory, tensors, f"{p}.{t}.{what}", shape)
                 for what, shape in shapes.items()}  # fmt: skip
        folds = _tensor(directory, tensors, f"{p}.{t}.of_folds", (-1, c, width))
        read[name] = Direction(classes, of_folds=folds, **found)
    mean = _tensor(directory, tensors, f"{p}.mean", (width,))
    random = _tensor(directory, tensors, f"{p}.random", (-1, width))
    return PlaceDirections(*place, mean, random, read)


def _tensor(
    directory: Path, tensors: Mapping[str, Array], name: str, shape: tuple[int, ...]
) -> Array:
    """Return a tensor of this shape (-1 for any length) with finite numbers; raises DataError."""
    found = tensors.get(name)
    fits = found is not None and len(found.shape) == len(shape) and found.size > 0
    if found is None or not fits or any(
        wanted not in (-1, length) for wanted, length in zip(shape, found.shape, strict=True)
    ) or not np.isfinite(found).all():  # fmt: skip
        raise DataError(f"{directory / TENSORS} does not hold {name} as it should; {AGAIN}")
    return found.astype(np.float64)


def place_of(places: Sequence[PlaceDirections], name: str | None) -> PlaceDirections:
    """Return the place of a name, or the only one; raises DataError."""
    names = [place.name for place in places]
    if name is None and len(places) > 1:
        raise DataError(f"there are directions at several places ({some(names, 12)}); name a place")
    if name is not None and name not in names:
        raise DataError(f"there are no directions at {name!r}; there are {some(names, 12)}")
    return places[0 if name is None else names.index(name)]
