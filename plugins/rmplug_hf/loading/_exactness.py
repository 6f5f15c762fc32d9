"""The exact way of a model: each row alone, without padding, in float32, by layers of PyTorch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from rmplug.artifacts import Formats

from ._fused_layers import plainly

if TYPE_CHECKING:
    from ._loading import Loaded

HALF = (torch.bfloat16, torch.float16)


@contextmanager
def exact(loaded: Loaded) -> Iterator[Formats]:
    """Have a model run each row alone, in float32 where memory allows it, by the layers of
    PyTorch, within the context.

    Weights of half precision are widened in place and narrowed again after: both are without loss,
    so that nothing else changes. Quantized weights stay.
    """
    model = loaded.model
    own = str(model.dtype).removeprefix("torch.")
    narrow = {name: p for name, p in model.named_parameters() if p.dtype in HALF}
    widened = bool(narrow) and not _is_quantized(model) and _fits(loaded)
    with loaded.budget.alone(), plainly():
        formats = {name: parameter.dtype for name, parameter in narrow.items()}
        try:
            for parameter in narrow.values() if widened else ():
                parameter.data = parameter.data.float()
            yield Formats(own, "float32" if widened or not narrow else own)
        finally:
            for name, parameter in narrow.items() if widened else ():
                parameter.data = parameter.data.to(formats[name])


def _is_quantized(model: Any) -> bool:
    return getattr(model, "quantization_method", None) is not None


def _fits(loaded: Loaded) -> bool:
    """Check that weights of half precision can be twice as large for a while."""
    more = int(loaded.model.get_memory_footprint())
    if loaded.device.type == "cuda":
        return bool(torch.cuda.mem_get_info(loaded.device)[0] > 1.2 * more)
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return True
    return free > 1.2 * more
