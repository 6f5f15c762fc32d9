"""PEFT adapters: small weights that are put on a model, and may bring its head."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rmplug import DataError

from ._weights import pickle_sentence, read_header, read_json

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
HEADS = ("score.weight", "classifier.weight", "classifier.out_proj.weight")

Shapes = Mapping[str, tuple[int, ...]]


def adapter_weights(folder: Path) -> Shapes:
    """The shape of each of an adapter's tensors, by its name in the model."""
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder} is no adapter: it has no {CONFIG}")
    if (folder / WEIGHTS).is_file():
        found = read_header(folder / WEIGHTS)
        return {name.removeprefix(PREFIX): shape for name, shape in found.items()}
    if (folder / "adapter_model.bin").is_file():
        raise DataError(pickle_sentence(folder, "adapter_model.bin").partition(", or set")[0])
    raise DataError(f"the adapter {folder} has no weights: {WEIGHTS} is not there")


def base_of(folder: Path) -> str:
    """The model that an adapter says it was trained on."""
    return str(
        read_json(folder / CONFIG).get("base_model_name_or_path") or "a model it does not name"
    )


def labels_of(shapes: Shapes) -> int | None:
    """How many outputs the head has that an adapter brings, if it brings one."""
    heads = [shape for name, shape in shapes.items() if name.endswith(HEADS)]
    return heads[0][0] if heads else None


def put_adapter(model: Any, folder: Path, shapes: Shapes, merge: bool) -> Any:
    """The model with the adapter on it or merged into it; every weight must find its place."""
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing keys are an error below, with their names
        try:
            wrapped = PeftModel.from_pretrained(model, str(folder), torch_device="cpu")
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            raise DataError(_not_fitting(folder, str(error))) from error
    if wrapped.peft_config["default"].is_prompt_learning:
        kind = str(wrapped.peft_config["default"].peft_type.value)
        raise DataError(f"{folder} is a {kind} adapter; adapters that change weights can be used")
    _check_complete(wrapped, folder, shapes)
    if merge:
        return wrapped.merge_and_unload(safe_merge=True)
    return wrapped.get_base_model()


def _check_complete(wrapped: Any, folder: Path, shapes: Shapes) -> None:
    from peft import get_peft_model_state_dict

    expected = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    wanted = {name.removeprefix(PREFIX) for name in expected}
    missing, unused = sorted(wanted - set(shapes)), sorted(set(shapes) - wanted)
    unused = [name for name in unused if "embed" not in name]
    if missing:
        raise DataError(_not_fitting(folder, f"it lacks {', '.join(missing[:3])}"))
    if unused:
        raise DataError(_not_fitting(folder, f"no place for {', '.join(unused[:3])}"))


def _not_fitting(folder: Path, reason: str) -> str:
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    detail = next((line for line in lines if "size mismatch" in line), lines[0] if lines else "")
    return (
        f"the adapter {folder} does not fit the model ({detail}); "
        f"it was trained on {base_of(folder)}"
    )
