"""The network of a model: its weights loaded, all of them and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from rmplug import DataError, notice
from rmplug.models.files import read_json

from ._adapters import adapter_weights, put_adapter
from ._new_head import REPLACED, drawn_anew
from ._quantized import quantized_options, settle_quantized
from ._weight_files import without_wrappers
from .number_format import is_widened, stated_format

if TYPE_CHECKING:
    from .loaders import HubModel

LANGUAGE_HEADS = ("lm_head.", "embed_out.", "cls.predictions.", "output_layer.")


@dataclass(frozen=True)
class Given:
    """Tensors that are taken in the place of a folder's, with the file they come from; ``body`` is
    true of those of a transformer alone, by its own names."""

    file: Path
    tensors: Mapping[str, torch.Tensor]
    body: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


@dataclass(frozen=True)
class Source:
    """Where the weights of a model come from: its folder, or tensors that are given."""

    folder: Path
    pickled: bool
    given: Given | None = None

    @property
    def named(self) -> Path:
        """What messages call it."""
        return self.folder if self.given is None else self.given.file


def read_model(
    source: Source, config: Any, step: HubModel, auto: str, new_head: bool
) -> tuple[Any, Any, tuple[str, ...]]:
    """Load the model with all its weights, and with its adapter if there is one: return it, the
    ``PeftModel`` around it or None, and the names of the parameters of its new head."""
    shapes = {} if step.adapter is None else adapter_weights(step.adapter)
    folder, dtype = source.folder, _dtype(step, source.folder, new_head)
    options = quantized_options(folder, config, step, auto, dtype)
    if step.attention != "auto":
        options["attn_implementation"] = step.attention
    try:
        cls, place = _class_and_place(source, config, step, auto)
        model, info = cls.from_pretrained(
            config=config,
            dtype=dtype,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **place,
            **options,
        )
    except Exception as error:  # whatever odd weights make a model raise
        raise DataError(
            f"the model in {source.named} cannot be loaded: {first_line(error)}"
        ) from error
    head = _check_loaded(source, model, info, step, auto, shapes, new_head)
    adapted = None
    settle_quantized(model, step)
    if step.adapter is not None:
        model, adapted = put_adapter(model, step.adapter, shapes, step.merge_adapter)
    return model, adapted, head


def _class_and_place(
    source: Source, config: Any, step: HubModel, auto: str
) -> tuple[Any, dict[str, Any]]:
    """Return the class that loads a model, and the arguments that say where its weights are."""
    maker = getattr(transformers, auto)
    if source.given is None:
        return maker, {
            "pretrained_model_name_or_path": str(source.folder),
            "trust_remote_code": step.trust_remote_code,
            "use_safetensors": not source.pickled,
        }
    drawn = empty_model(config, auto, step.trust_remote_code)
    tensors = source.given.tensors
    if not source.given.body:
        tensors = without_wrappers(tensors, drawn.state_dict().keys())
    return type(drawn), {"pretrained_model_name_or_path": None, "state_dict": dict(tensors)}


def empty_model(config: Any, auto: str, trusted: bool) -> Any:
    """Return a model of a configuration without memory for its weights."""
    with torch.device("meta"):
        return getattr(transformers, auto).from_config(config, trust_remote_code=trusted)


def _dtype(step: HubModel, folder: Path, new_head: bool) -> Any:
    """Return the number format to load weights in, or ``auto`` for the one that they state."""
    if step.dtype != "auto":
        return getattr(torch, step.dtype)
    if new_head:
        return torch.float32
    stated = stated_format(read_json(folder / "config.json"))
    if not is_widened(step, stated):
        return "auto"
    if stated is not None:
        what = f"{stated} weights are computed in float32, in which this processor is faster"
        notice(f"{what} (dtype: {stated} keeps them)", [step.name or folder.name], of="models")
    return torch.float32


def _check_loaded(
    source: Source,
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
        head = drawn_anew(model, missing | {entry[0] for entry in mismatched}, source.named)
        mismatched = [entry for entry in mismatched if entry[0] not in head]
    _check_shapes(source.named, mismatched, model.config)
    _check_missing(source, sorted(missing - set(head)), auto)
    if auto != "AutoModel" and step.unused_weights == "error":
        replaced = REPLACED if new_head else LANGUAGE_HEADS if shapes else ()
        check_unused(source.named, info["unexpected_keys"], type(model).__name__, replaced)
    return head


def _check_shapes(folder: Path, mismatched: Any, config: Any) -> None:
    if mismatched:
        name, written, wanted = sorted(mismatched)[0]
        raise DataError(
            f"{name} in {folder} has the shape {tuple(written)}, but config.json (with "
            f"{config.num_labels} labels) makes it {tuple(wanted)}; config.json and weights are "
            "not of the same model, or num_labels and id2label are wrong"
        )


def _check_missing(source: Source, missing: Sequence[str], auto: str) -> None:
    needed = sorted(k for k in missing if auto != "AutoModel" or "pooler." not in k)
    if needed:
        made = (read_json(source.folder / "config.json").get("architectures") or ["another model"])[
            0
        ]
        more = f" and {len(needed) - 3} more" if len(needed) > 3 else ""
        raise DataError(
            f"the weights in {source.named} lack {', '.join(needed[:3])}{more}: they would be "
            f"random numbers; the checkpoint was saved as {made}, so load it as what it is, or "
            "train a head on it (linear-head, or head: new with reward-model)"
        )


def check_unused(where: Path, unexpected: Any, model: str, replaced: tuple[str, ...]) -> None:
    """Refuse unused weights, except those of heads that are ``replaced``."""
    unused = sorted(key for key in unexpected if not key.startswith(replaced))
    if unused:
        more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
        raise DataError(
            f"{model} has no place for {', '.join(unused[:3])}{more} in the weights of {where}: "
            "it may have been trained with another head; set unused_weights: ignore "
            "if these are not needed"
        )


def first_line(error: Exception) -> str:
    """Return the first line of an error, or its name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
