"""The released model's layout: its tensors by name, its backbone by the kind ``encoder``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

import rmplug
from rmplug import DataError
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.files import read_json
from rmplug.models.head_encoders import encoder_of
from rmplug.models.weights import is_plain_tensor
from rmplug_armorm.assembly._mixture import Mixture
from rmplug_armorm.assembly._model import AssembledModel
from rmplug_armorm.debias._transform_file import Transform
from rmplug_armorm.gate._gate import NetworkGate
from rmplug_armorm.heads._heads_file import Heads

HEADS, TRANSFORM, GATING = "regression_layer.weight", "reward_transform_matrix", "gating."
PUBLISHED_TEMPERATURE = 10.0


def load_released(
    folder: Path,
    weights: Sequence[Path] | None,
    attributes: tuple[str, ...],
    temperature: float | None,
    encoder: Mapping[str, Any],
) -> AssembledModel:
    """Load the reward model of a folder; ``encoder`` has more parameters of the kind
    ``encoder``."""
    files = weights or weight_files(folder)
    tensors: dict[str, Array] = {}
    for file in files:
        tensors |= read_tensors(file)
    gate_temperature = temperature or _read_temperature(folder)
    where = some(str(file) for file in files)
    mixture = mixture_of(tensors, attributes, gate_temperature, where)
    return AssembledModel(encoder_of(_backbone(folder, encoder)), mixture, "turn")


def _backbone(folder: Path, encoder: Mapping[str, Any]) -> Any:
    reading = {"template": "chat", "pooling": "last", "unused_weights": "ignore"}
    params = {**reading, **encoder, "path": folder}
    return rmplug.load(str(folder), "encoder", **params).model


def mixture_of(
    tensors: Mapping[str, Array], attributes: tuple[str, ...], temperature: float, where: str
) -> Mixture:
    """Make heads, transform and gate; raises DataError that names what is missing or does not
    fit."""
    if HEADS not in tensors or not any(name.startswith(GATING) for name in tensors):
        raise DataError(
            f"{where} lack {HEADS if HEADS not in tensors else GATING + '…'}; give the folder of "
            "the released layout, or the files with these tensors as weights"
        )
    weight = tensors[HEADS].astype(np.float64)
    if weight.ndim != 2:
        raise DataError(f"{where} have heads of shape {weight.shape}, not (attributes, width)")
    count = len(weight)
    if len(attributes) != count:
        raise DataError(
            f"{where} have {count} attributes, {len(attributes)} are named; name them in "
            "order: attributes"
        )
    transform = np.asarray(tensors.get(TRANSFORM, np.eye(count)), np.float64)
    named = {k.removeprefix(GATING): v for k, v in tensors.items() if k.startswith(GATING)}
    gate = NetworkGate.of_tensors(named, temperature)
    width = gate.layers[0][0].shape[1]
    bias = np.asarray(tensors.get("regression_layer.bias", np.zeros(count)), np.float64)
    fits = transform.shape == (count, count) and bias.shape == (count,)
    if not fits or width != weight.shape[1]:
        raise DataError(
            f"{where} do not fit each other: heads {weight.shape} with {bias.shape} numbers added, "
            f"transform {transform.shape}, gate of states of {width}"
        )
    heads = Heads(attributes, weight, bias, np.zeros(count), np.ones(count))
    return Mixture(heads, Transform(attributes, transform), gate)


def _read_temperature(folder: Path) -> float:
    """Read the divisor of the gate's logits from ``config.json``."""
    temperature = read_json(folder / "config.json").get("gating_temperature", PUBLISHED_TEMPERATURE)
    if not isinstance(temperature, int | float) or not temperature > 0:
        raise DataError(
            f"{folder} has the gating_temperature {temperature!r:.20}; give temperature"
        )
    return float(temperature)


def weight_files(folder: Path) -> list[Path]:
    """List the safetensors files of a folder: one, or those that its index names."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = read_json(index).get("weight_map")
        if not isinstance(named, dict):
            raise DataError(f"{index} names no files of weights; copy or download it again")
        wanted = {str(file) for name, file in named.items() if not name.startswith("model.")}
        outside = [file for file in wanted if Path(file).name != file]
        if outside:
            raise DataError(f"{index} names the file {outside[0]:.80}, which is not in its folder")
        return [folder / file for file in sorted(wanted)]
    return [folder / "model.safetensors"]


def read_tensors(file: Path) -> dict[str, Array]:
    """Read the tensors of heads, transform and gate in a file, under the released names, as
    float32."""
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as opened:
                names = [name for name in opened.keys() if _named(name)]  # noqa: SIM118
                tensors = {name: opened.get_tensor(name) for name in names}
        else:
            tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError) as error:
        raise DataError(f"{file} cannot be read: {_first_line(error)}") from error
    except Exception as error:  # a pickle that asks for more than tensors
        raise DataError(
            f"{file} holds more than tensors, and is not read: {_first_line(error)}"
        ) from error
    if not isinstance(tensors, dict):
        raise DataError(f"{file} holds a {type(tensors).__name__}, not tensors by their names")
    named = {name: values for name, values in tensors.items() if isinstance(name, str)}
    used = {_named(name): values for name, values in named.items() if _named(name)}
    odd = [
        name for name, values in used.items() if not is_plain_tensor(values, file.stat().st_size)
    ]
    if odd:
        raise DataError(f"{file} holds as {odd[0]:.80} no plain tensor of real numbers")
    return {name: values.to(torch.float32).numpy() for name, values in used.items()}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _named(name: str) -> str:
    """Return the released name of a tensor; empty for one that is not of the heads, transform or
    gate."""
    if name == "weight":
        return HEADS
    if name.startswith("layers.") or name == "logit_scale":
        return GATING + name
    is_used = name.startswith(("regression_layer.", GATING)) or name == TRANSFORM
    return name if is_used else ""
