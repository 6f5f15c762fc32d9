"""Models of transformers in a folder, and the number of tokens that they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rmplug import DataError
from rmplug.models.devices import device_of
from rmplug.models.model_folder import check_model_folder
from rmplug.models.quiet import quiet

FILES = ("*.json", "*.safetensors", "*.txt", "*.model")


def read_model(folder: Path, auto: str, dtype: str, device: str) -> tuple[Any, Any]:
    """Open a model of transformers, ready to run, and its tokenizer; only safetensors are read."""
    import torch
    import transformers

    check_model_folder(folder, auto)
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
            model = getattr(transformers, auto).from_pretrained(
                str(folder),
                dtype=getattr(torch, dtype),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,  # left out, the library asks whoever sits at the terminal
            )
    except Exception as error:  # whatever a broken folder makes the library raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{folder} cannot be opened as a model: {reason}") from error
    if not tokenizer.is_fast:
        raise DataError(f"{folder} has no fast tokenizer (tokenizer.json), which is needed here")
    tokenizer.padding_side = "right"
    return model.to(device_of(device)).eval(), tokenizer


def count_readable_tokens(model: Any, tokenizer: Any, wanted: int | None) -> int:
    """Return the most tokens read of a text: the model's positions, or as many as wanted."""
    limits = [int(tokenizer.model_max_length)]
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and positions > 0:
        padded = any(
            getattr(module, "padding_idx", None) is not None
            for name, module in model.named_modules()
            if name.endswith("position_embeddings")
        )
        # some (RoBERTa) count positions from after the pad token
        reserved = int(model.config.pad_token_id or 0) + 1 if padded else 0
        limits.append(int(positions) - reserved)
    most = min(limits)
    if wanted is not None and wanted > limits[-1]:
        raise DataError(
            f"max_length {wanted} is more than the {limits[-1]} tokens that the model can read"
        )
    return wanted or most
