"""The identity of a loaded model's numbers: all that determines them but the tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rmplug.models.digests import known_checksum, model_digests
from rmplug.models.kept import package_source

if TYPE_CHECKING:
    from ._loading import Loaded
    from ._state_change import StateChange
    from .loaders import HubModel

LIBRARIES = ("torch", "transformers")


class Weights:
    """Where the weights of a network come from, and whether they still are what they were."""

    def __init__(self, step: HubModel, folder: Path, file: Path | None) -> None:
        self.step, self.folder, self.file = step, folder, file
        self.handed_out = False
        """True from when a trainer got hold of the network: it may have changed any weight."""
        self._digests: Mapping[str, Any] | None = None

    def digests(self) -> Mapping[str, Any]:
        """Return the SHA-256 of every file that defines the network."""
        if self._digests is None:
            named = dict(model_digests(self.folder, self.step.adapter))
            if self.file is not None and self.file.is_file():
                named["weights"] = known_checksum(self.file)
            elif self.file is not None:
                named |= {f"weights/{n}": sum for n, sum in model_digests(self.file).items()}
            self._digests = named
        return self._digests


def identity_of(loaded: Loaded, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the identity of what ``asked`` describes; None for a network whose weights are not, or
    perhaps not, those of its files."""
    weights = loaded.weights
    if weights is None or weights.handed_out or loaded.new_head:
        return None
    step = weights.step
    return {
        "asked": asked,
        "files": weights.digests(),
        "network": type(loaded.model).__name__,
        "dtype": str(loaded.model.dtype),
        "quantization": step.quantization,
        "attention": str(getattr(loaded.config, "_attn_implementation", step.attention)),
        "merged": step.merge_adapter,
        "pad": loaded.pad,
        "change": None if loaded.change is None else _digest_of(loaded.change),
        "libraries": {name: version(name) for name in LIBRARIES},
        "code": package_source(__name__),
    }


def _digest_of(change: StateChange) -> str:
    """Return a digest of a change of states."""
    numbers = (change.change.read, change.change.write, change.change.mean, change.change.shift)
    content = [np.ascontiguousarray(n, dtype=np.float64).tobytes() for n in numbers]
    where = f"{change.layer} {change.positions} {change.module} {numbers[0].shape}".encode()
    return hashlib.sha256(b"".join([where, *content])).hexdigest()
