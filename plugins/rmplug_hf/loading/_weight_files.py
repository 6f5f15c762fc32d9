"""Tensors of a file of weights that stands beside a model's folder, and the names they go by."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from rmplug import DataError
from rmplug.errors import some
from rmplug.models.files import damaged
from rmplug.models.weights import (
    check_weights,
    is_plain_tensor,
    read_header,
    weight_files,
)

from .weight_places import weights_mistake

Tensors: TypeAlias = Mapping[str, torch.Tensor]
NESTED = ("state_dict", "model_state_dict", "model", "module")
"""Entries in which training libraries keep the weights of a checkpoint."""
WRAPPERS = ("", "module.", "model.", "module.model.")
"""What parallel training and classes around a model put before every name."""
ANCHORS = 8
"""Tensors of a transformer by which the prefix of all is found, should some be missing."""
BUFFERS = re.compile(r"(attn|attention)\.(masked_)?bias$|rotary_emb\.inv_freq$|position_ids$")
"""Tables that older versions of the library wrote with the weights, and no version needs."""


def read_weights(path: Path, allow_pickle: bool) -> dict[str, torch.Tensor]:
    """Read the tensors of a file, or of a folder with safetensors, onto the CPU. Raises DataError
    for a pickle that the spec does not allow, and for anything that is no tensors by name."""
    fault = weights_mistake(path, allow_pickle)
    if fault is not None:
        raise DataError(fault)
    if path.is_dir():
        check_weights(path, allow_pickle=False)
        shards = [_read_safetensors(file) for file in weight_files(path)]
        return {name: tensor for shard in shards for name, tensor in shard.items()}
    if path.suffix == ".safetensors":
        read_header(path)
        return _read_safetensors(path)
    return _read_pickle(path)


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        return dict(load_file(file))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(damaged(file, str(error).partition("\n")[0])) from error


def _read_pickle(file: Path) -> dict[str, torch.Tensor]:
    """Read tensors by torch's loading of weights only, which runs no code of the file."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError) as error:
        raise DataError(damaged(file, str(error).partition("\n")[0][:200])) from error
    except Exception as error:  # a pickle that asks for more than tensors
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{file} holds more than tensors, and is not read ({line:.100}); save its state_dict "
            "as safetensors where you trust it"
        ) from error
    inner = [found[name] for name in NESTED if isinstance(found, dict) and _is_dict(found, name)]
    found = inner[0] if inner else found
    if not isinstance(found, dict) or not found or not all(isinstance(k, str) for k in found):
        raise DataError(f"{file} does not hold tensors by their names; save a state_dict")
    odd = [k for k, values in found.items() if not is_plain_tensor(values, file.stat().st_size)]
    if odd:
        raise DataError(f"{file} holds as {odd[0]:.80} no plain tensor of real numbers")
    return dict(found)


def _is_dict(found: Mapping[Any, Any], name: str) -> bool:
    return isinstance(found.get(name), dict)


def without_wrappers(tensors: Tensors, expected: Collection[str]) -> dict[str, torch.Tensor]:
    """Return tensors under the names of a model: what a wrapper put before each of them is removed
    if that makes all fit, and only then."""
    for wrapper in WRAPPERS:
        names = {name: name.removeprefix(wrapper) for name in tensors if name.startswith(wrapper)}
        fits = all(own in expected or BUFFERS.search(own) for own in names.values())
        if len(names) == len(tensors) and fits:
            return {own: tensors[name] for name, own in names.items() if own in expected}
    return dict(tensors)


@dataclass(frozen=True)
class PartedWeights:
    """The tensors of a transformer by its own names, and the others by the names in the file."""

    body: dict[str, torch.Tensor]
    others: dict[str, torch.Tensor]


def parted(tensors: Tensors, expected: Collection[str], body: str, where: Path) -> PartedWeights:
    """Part tensors into those of a transformer, by its own names, and all others.

    ``expected`` are the names of the transformer's tensors, ``body`` is what its class calls it in
    a model with a head (``transformer``); that, and wrappers, may stand before every name.
    """
    allowed = re.compile(
        rf"((module|model|pretrained_model|base_model|{re.escape(body)})\.){{0,3}}"
    )
    known = set(expected)
    prefixes = {
        name.removesuffix(anchor)
        for anchor in sorted(known)[:ANCHORS]
        for name in tensors
        if name.endswith(anchor)
    }
    counts = {
        prefix: sum(f"{prefix}{name}" in tensors for name in known)
        for prefix in prefixes
        if allowed.fullmatch(prefix)
    }
    if not counts:
        raise DataError(
            f"no weight in {where} is one of the transformer that config.json describes: it has "
            f"{some(sorted(tensors), 3)}, wanted are {some(sorted(known), 3)}; config.json and "
            "weights are not of the same model"
        )
    best = max(sorted(counts), key=lambda prefix: counts[prefix])
    inside = {f"{best}{name}": name for name in known}
    return PartedWeights(
        {inside[name]: tensor for name, tensor in tensors.items() if name in inside},
        {
            name: tensor
            for name, tensor in tensors.items()
            if name not in inside and not BUFFERS.search(name)
        },
    )
