"""The reward model of a linear head on an encoder's states: its folder, and its loading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from rmplug import DataError, Origin, RewardModel
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.files import read_json, read_tensors
from rmplug.models.head_encoders import open_encoder, write_probe
from rmplug.models.state_encoder import StateEncoder
from rmplug_hf.loading._encoder import EncoderModel
from rmplug_hf.loading._loading import Loaded

if TYPE_CHECKING:
    from rmplug_hf.loading.encoders import Encoder

CONFIG, HEAD, FORMAT, KIND, ENCODER = (
    "config.json", "head.safetensors", 1, "linear-head", "encoder",
)  # fmt: skip


class LinearReward(EncoderModel):
    """An encoder with a head on its states: one reward per response."""

    def __init__(self, loaded: Loaded, step: Encoder, weight: Array, bias: float) -> None:
        super().__init__(loaded, step)
        self.weight, self.bias = weight, bias

    def origin(self) -> None:
        """Return None: the encoder's origin lacks the head."""

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return float64 rewards of shape (rows,)."""
        if not responses.num_rows:
            return np.zeros(0)
        return np.asarray(self.vectors(responses).astype(np.float64) @ self.weight + self.bias)


class ElsewhereReward(RewardModel):
    """A head on the states of an encoder that is no model of this process."""

    def __init__(self, encoder: StateEncoder, weight: Array, bias: float) -> None:
        self.encoder, self.weight, self.bias = encoder, weight, bias
        self.vectors, self.vectors_and_prompts = encoder.vectors, encoder.vectors_and_prompts
        self.elsewhere = getattr(encoder, "elsewhere", False)

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return float64 rewards of shape (rows,)."""
        if not responses.num_rows:
            return np.zeros(0)
        states = self.vectors(responses).astype(np.float64)
        if states.shape[1] != len(self.weight):
            raise DataError(
                f"the encoder of a head on states of {len(self.weight)} numbers gave states of "
                f"{states.shape[1]}; serve the model that the head was trained on"
            )
        return np.asarray(states @ self.weight + self.bias)


def save(directory: Path, model: StateEncoder, weight: Array, bias: float, l2: float) -> None:
    """Write the head, the settings of its encoder, and how that is known again."""
    origin = model.origin()
    assert origin is not None
    config = {
        "format": FORMAT,
        "kind": KIND,
        "encoder": dict(origin.params),
        **({} if origin.kind == ENCODER else {"encoder_kind": origin.kind}),
        **_exactness(model),
        "width": len(weight),
        "l2": l2,
        "sha256": dict(origin.digests),
    }
    text = json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")
    save_file({"weight": weight, "bias": np.array([bias])}, directory / HEAD)
    write_probe(directory, model)


def _exactness(model: StateEncoder) -> dict[str, Any]:
    """Return how many tokens a model of this process read, and in which number format."""
    if not isinstance(model, EncoderModel):
        return {}
    dtype = str(model.loaded.model.dtype).removeprefix("torch.")
    return {"max_length": model.loaded.tokenizing.max_length, "dtype": dtype}


def open_head(directory: Path, changed: Mapping[str, Any]) -> RewardModel:
    """Load the reward model of a folder; ``changed`` overrides settings of its encoder, or is one
    to use in its place (``backbone``)."""
    config = _read_config(directory / CONFIG)
    weight, bias = _read_head(directory / HEAD, config["width"])
    kind = config.get("encoder_kind", ENCODER)
    model = open_encoder(Origin(kind, config["encoder"], config["sha256"]), directory, changed)
    if not isinstance(model, EncoderModel):
        return ElsewhereReward(model, weight, bias)
    if len(weight) != model.width:
        raise DataError(
            f"the head in {directory} reads states of {len(weight)} numbers, its encoder gives "
            f"{model.width}; train the head again"
        )
    return LinearReward(model.loaded, model.step, weight, bias)


def _read_config(path: Path) -> dict[str, Any]:
    config = read_json(path)
    missing = [name for name in ("format", "encoder", "sha256", "width") if name not in config]
    if missing or config.get("kind") != KIND:
        raise DataError(
            f"{path} does not describe a head that linear-head has trained (it lacks "
            f"{some(missing or ['its kind'])}); give the folder that it wrote"
        )
    if config["format"] != FORMAT:
        raise DataError(
            f"{path} has format {config['format']!r:.20}, this version reads {FORMAT}; train the "
            "head again"
        )
    return config


def _read_head(path: Path, width: Any) -> tuple[Array, float]:
    tensors = read_tensors(path)
    weight, bias = tensors.get("weight"), tensors.get("bias")
    if weight is None or bias is None or weight.shape != (width,) or bias.shape != (1,):
        raise DataError(f"{path} does not hold {width!r:.20} weights and a bias; train it again")
    if not np.isfinite(weight).all() or not np.isfinite(bias).all():
        raise DataError(f"{path} holds numbers that are not finite; train the head again")
    return weight.astype(np.float64), float(bias[0])
