"""A linear head on an encoder's states as a reward model: its folder, and how it is opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from rmplug import DataError
from rmplug_hf.loading._encoder import EncoderModel, digests_of, loaded_of
from rmplug_hf.loading._loading import Loaded
from rmplug_hf.loading.encoders import Encoder

from .heads import LinearHead

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
CONFIG, HEAD, FORMAT = "config.json", "head.safetensors", 1


class LinearReward(EncoderModel):
    """An encoder with a head on its states: one reward per response."""

    def __init__(self, loaded: Loaded, step: Encoder, weight: Array, bias: float) -> None:
        super().__init__(loaded, step)
        self.weight, self.bias = weight, bias

    def origin(self) -> None:
        """None: its encoder's origin lacks the head."""

    def score(self, responses: pa.RecordBatch) -> Array:
        """Float64 rewards of shape (rows,)."""
        if not responses.num_rows:
            return np.zeros(0)
        return np.asarray(self.vectors(responses).astype(np.float64) @ self.weight + self.bias)


def save(directory: Path, model: EncoderModel, weight: Array, bias: float, l2: float) -> None:
    """Writes the head and what it needs of its encoder."""
    step = model.step
    config = {
        "format": FORMAT,
        "kind": LinearHead.kind,
        "encoder": step.model_dump(mode="json", exclude={"device", "batch_tokens"}),
        "max_length": model.loaded.tokenizing.max_length,
        "dtype": str(model.loaded.model.dtype).removeprefix("torch."),
        "width": len(weight),
        "l2": l2,
        "sha256": digests_of(step),
    }
    text = json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
    save_file({"weight": weight, "bias": np.array([bias])}, directory / HEAD)


def open_head(directory: Path, changed: Mapping[str, Any] | None = None) -> LinearReward:
    """The reward model of a folder; ``changed`` says where or how its encoder runs now."""
    config = _read_config(directory / CONFIG)
    settings = {**config["encoder"], **(changed or {})}
    if "path" in settings and (changed or {}).get("path") is not None:
        settings.update(name=None, revision=None)
    try:
        step = Encoder.model_validate(settings)
    except ValidationError as error:
        raise DataError(
            f"{directory / CONFIG} describes no encoder: {error.errors()[0]['msg']}"
        ) from error
    if step.path is not None and not step.path.is_dir():
        raise DataError(
            f"the head in {directory} belongs to the encoder {step.path}, which is not there; say "
            "where it is: encoder: <folder>"
        )
    _check_digests(directory, step, config["sha256"])
    weight, bias = _read_head(directory / HEAD, int(config["width"]))
    return LinearReward(loaded_of(step), step, weight, bias)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found, needed = config["format"], [config["encoder"], config["sha256"], config["width"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} does not describe a head that linear-head has trained "
            f"({type(error).__name__}: {error}); give the folder that it wrote"
        ) from error
    if found != FORMAT or not needed:
        raise DataError(
            f"{path} has format {found}, this version reads {FORMAT}; train the head again"
        )
    return config


def _check_digests(directory: Path, step: Encoder, expected: Mapping[str, str]) -> None:
    found = digests_of(step)
    other = sorted(n for n in {**expected, **found} if expected.get(n) != found.get(n))
    if other:
        place = step.path or step.name
        raise DataError(
            f"the head in {directory} was trained with another encoder than {place} is now: "
            f"{', '.join(other[:5])} differ; use the files that it was trained with, or train again"
        )


def _read_head(path: Path, width: int) -> tuple[Array, float]:
    try:
        tensors = load_file(path)
        weight, bias = tensors["weight"], float(tensors["bias"][0])
    except (OSError, SafetensorError, KeyError) as error:
        raise DataError(
            f"{path} is cut short or damaged ({error}); train the head again"
        ) from error
    if weight.shape != (width,) or not np.isfinite(weight).all():
        raise DataError(f"{path} does not hold {width} finite weights; train the head again")
    return weight, bias
