"""The number format of weights that ``dtype: auto`` stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmplug.models.devices import device_of
from rmplug.models.hub import cached
from rmplug.models.number_formats import slow_formats

from .recognised import folder_config

if TYPE_CHECKING:
    from .loaders import HubModel


def is_widened(step: HubModel, stated: str | None) -> bool:
    """Check whether a step computes weights in float32 that state another format: the step leaves
    the format open, and the processor that it runs on is slow in that of the weights. Weights that
    state none may be in any."""
    if step.dtype != "auto" or step.quantization != "none" or step.device not in ("auto", "cpu"):
        return False
    slow = slow_formats()
    if not (slow if stated is None else stated in slow):
        return False
    return bool(device_of(step.device).type == "cpu")


def stated_format(config: dict[str, Any]) -> str | None:
    """Return the format of weights that the ``config.json`` of a model states; None where it states
    none."""
    inner = config.get("text_config")
    places = (config, inner if isinstance(inner, dict) else {})
    stated = [place.get(name) for place in places for name in ("dtype", "torch_dtype")]
    return next((text.removeprefix("torch.") for text in stated if isinstance(text, str)), None)


def format_identity(step: HubModel, commit: str | None) -> dict[str, str]:
    """Return what the format of the weights adds to the identity of a step: machines that compute
    the same checkpoint in different formats do not take each other's results. ``commit`` is that of
    a name on the hub."""
    folder = step.path
    if step.name is not None and commit is not None:
        folder = cached(step.name, commit)
    config = None if folder is None else folder_config(str(folder))
    return {"dtype": "float32"} if is_widened(step, stated_format(config or {})) else {}
