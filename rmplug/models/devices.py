"""Devices that models run on: the values of a parameter ``device``, and their meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rmplug.errors import DataError

if TYPE_CHECKING:
    import torch

Device = Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]
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
