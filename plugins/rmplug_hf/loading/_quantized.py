"""Quantized weights: linear layers of 4 or 8 bits by bitsandbytes; the head is left as it is.

NF4 is that of Dettmers et al. 2023 (QLoRA), without double quantization; int8 that of Dettmers et
al. 2022 (LLM.int8()), with outliers beyond 6.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from rmplug import DataError
from rmplug.models.devices import device_of

from ._new_head import is_of_head
from .quantization import quantization_mistakes

if TYPE_CHECKING:
    from .loaders import HubModel

LAYERS = ("Linear4bit", "Linear8bitLt")
WARNS = "bitsandbytes.autograd._functions"
"""The logger of a warning on every pass that int8 computes in float16, as it is made to."""


def quantized_options(
    folder: Path, config: Any, step: HubModel, auto: str, dtype: Any
) -> dict[str, Any]:
    """Return the arguments with which transformers quantizes a model's weights while it loads them,
    onto their device; none where nothing is quantized."""
    if step.quantization == "none":
        return {}
    for _, message in quantization_mistakes(step.quantization, step.merge_adapter):
        raise DataError(message)
    if getattr(config, "quantization_config", None) is not None:
        raise DataError(f"the weights in {folder} are quantized already; leave out quantization")
    logging.getLogger(WARNS).setLevel(logging.ERROR)
    computed = getattr(config, "dtype", None) if dtype == "auto" else dtype
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=step.quantization == "nf4",
        load_in_8bit=step.quantization == "int8",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=computed or torch.float32,
        llm_int8_skip_modules=_head_modules(config, auto, step.trust_remote_code),
    )
    return {"quantization_config": settings, "device_map": {"": str(device_of(step.device))}}


def _head_modules(config: Any, auto: str, trusted: bool) -> list[str]:
    """Return the names of the modules of a model's head."""
    with torch.device("meta"):
        model = getattr(transformers, auto).from_config(config, trust_remote_code=trusted)
    return [name for name, _ in model.named_modules() if name and _heads(model, name)]


def _heads(model: Any, name: str) -> bool:
    """Check whether a module is of a head; a body by itself has none."""
    return model.base_model is not model and is_of_head(model, f"{name}.")


def settle_quantized(model: Any, step: HubModel) -> None:
    """Check a quantized model, and have it compute alike in training and in use."""
    if step.quantization == "none":
        return
    layers = {n: m for n, m in model.named_modules() if type(m).__name__ in LAYERS}
    narrow = [name for name in layers if _heads(model, name)]
    assert not narrow, f"{narrow[0]} of the head is quantized"
    if not layers:
        raise DataError(
            f"{type(model).__name__} has no linear layers that could be quantized; leave out "
            "quantization"
        )
    for layer in layers.values():
        # On a CPU with AVX512-BF16 bitsandbytes would, in the first pass that is not training, pack
        # the weights for a kernel without gradients, coarser and for good: scores would change, and
        # training after a measurement lose gradients without a word.
        layer.support_avx512bf16_for_cpu = False
