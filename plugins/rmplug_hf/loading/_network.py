"""The network of a model: its weights loaded, all of them and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from rmplug import DataError
from rmplug.models.files import read_json

from ._adapters import adapter_weights, put_adapter
from ._new_head import REPLACED, drawn_anew
from ._quantized import quantized_options, settle_quantized

if TYPE_CHECKING:
    from .loaders import HubModel

LANGUAGE_HEADS = ("lm_head.", "embed_out.", "cls.predictions.", "output_layer.")


def read_model(
    folder: Path, config: Any, step: HubModel, auto: str, pickled: bool, new_head: bool
) -> tuple[Any, Any, tuple[str, ...]]:
    """Load the model with all its weights, and with its adapter if there is one: return it, the
    ``PeftModel`` around it or None, and the names of the parameters of its new head."""
    shapes = {} if step.adapter is None else adapter_weights(step.adapter)
    dtype = _dtype(step, new_head)
    options = quantized_options(folder, config, step, auto, dtype)
    if step.attention != "auto":
        options["attn_implementation"] = step.attention
    try:
        model, info = getattr(transformers, auto).from_pretrained(
            str(folder),
            config=config,
            dtype=dtype,
            trust_remote_code=step.trust_remote_code,
            use_safetensors=not pickled,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # whatever odd weights make a model raise
        raise DataError(f"the model in {folder} cannot be loaded: {first_line(error)}") from error
    head = _check_loaded(folder, model, info, step, auto, shapes, new_head)
    adapted = None
    settle_quantized(model, step)
    if step.adapter is not None:
        model, adapted = put_adapter(model, step.adapter, shapes, step.merge_adapter)
    return model, adapted, head


def _dtype(step: HubModel, new_head: bool) -> Any:
    if step.dtype == "auto":
        return torch.float32 if new_head else "auto"
    return getattr(torch, step.dtype)


def _check_loaded(
    folder: Path,
    model: Any,
    info: Mapping[str, Any],
    step: HubModel,
    auto: str,
    shapes: Mapping[str, Any],
    new_head: bool,
) -> tuple[str, ...]:
    """Refuse weights that are not those of the model, except of a new head, whose parameters are
    returned; those in ``shapes`` come with the adapter."""
    mismatched = [entry for entry in info["mismatched_keys"] if entry[0] not in shapes]
    missing = {key for key in info["missing_keys"] if key not in shapes}
    head: tuple[str, ...] = ()
    if new_head:
        head = drawn_anew(model, missing | {entry[0] for entry in mismatched}, folder)
        mismatched = [entry for entry in mismatched if entry[0] not in head]
    _check_shapes(folder, mismatched, model.config)
    _check_missing(folder, sorted(missing - set(head)), auto)
    if auto != "AutoModel" and step.unused_weights == "error":
        replaced = REPLACED if new_head else LANGUAGE_HEADS if shapes else ()
        _check_unused(folder, info["unexpected_keys"], model, replaced)
    return head


def _check_shapes(folder: Path, mismatched: Any, config: Any) -> None:
    if mismatched:
        name, written, wanted = sorted(mismatched)[0]
        raise DataError(
            f"{name} in {folder} has the shape {tuple(written)}, but config.json (with "
            f"{config.num_labels} labels) makes it {tuple(wanted)}; config.json and weights are "
            "not of the same model, or num_labels and id2label are wrong"
        )


def _check_missing(folder: Path, missing: Sequence[str], auto: str) -> None:
    needed = sorted(k for k in missing if auto != "AutoModel" or "pooler." not in k)
    if needed:
        made = (read_json(folder / "config.json").get("architectures") or ["another model"])[0]
        more = f" and {len(needed) - 3} more" if len(needed) > 3 else ""
        raise DataError(
            f"the weights in {folder} lack {', '.join(needed[:3])}{more}: they would be random "
            f"numbers; the checkpoint was saved as {made}, so load it as what it is, or train "
            "a head on it (linear-head, or head: new with reward-model)"
        )


def _check_unused(folder: Path, unexpected: Any, model: Any, replaced: tuple[str, ...]) -> None:
    """Refuse unused weights, except those of heads that are ``replaced``."""
    unused = sorted(key for key in unexpected if not key.startswith(replaced))
    if unused:
        more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        raise DataError(
            f"{type(model).__name__} has no place for {', '.join(unused[:3])}{more} in the weights "
            f"of {folder}: it may have been trained with another head; set unused_weights: ignore "
            "if these are not needed"
        )


def first_line(error: Exception) -> str:
    """Return the first line of an error, or its name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
