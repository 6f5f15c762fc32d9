"""Devices that models run on: the values of a parameter ``device``, and their meaning."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from rmplug.errors import DataError, shown

if TYPE_CHECKING:
    import torch

_NAMES = r"^(auto|cpu|mps|cuda(:\d+)?)$"


def _known(name: Any) -> Any:
    if isinstance(name, str) and re.search(_NAMES, name) is None:
        raise ValueError(f"must be auto, cpu, mps, cuda, or cuda:1 and so on, not {shown(name)}")
    return name


Device = Annotated[str, Field(pattern=_NAMES), BeforeValidator(_known)]
"""``auto`` (a GPU if there is one), ``cpu``, ``mps``, ``cuda``, or ``cuda:1``."""


def device_of(name: str) -> torch.device:
    """Return the device of that name; it must be there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DataError(
            f"there is no device {name}: {torch.cuda.device_count()} GPUs were found; write "
            "device: auto or device: cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DataError(f"there is no device {name}; write device: auto or device: cpu")
    return device
