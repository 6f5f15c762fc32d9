"""Where the files of encoders and tokenizers are, and on which device they run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rmplug import DataError

FILES = ("*.json", "*.safetensors", "*.txt", "*.model")


def commit_of(name: str, revision: str | None, file: str = "config.json") -> str:
    """The commit that a hub name stands for: as the local cache has it, else as the hub says."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    try:
        cached = try_to_load_from_cache(name, file, revision=revision or "main")
        if isinstance(cached, str):
            return Path(cached).parent.name
        return str(HfApi().model_info(name, revision=revision).sha)
    except HFValidationError as error:
        raise DataError(f"{name!r} is no name on the hub; for a folder write path") from error
    except Exception as error:  # offline, no such model, no access, a broken connection
        raise DataError(_unreachable(name, revision, error)) from error


def downloaded(name: str, revision: str | None, files: Sequence[str] = FILES) -> Path:
    """The files of a model on the hub, in the local cache."""
    from huggingface_hub import snapshot_download

    commit = commit_of(name, revision, files[0] if "*" not in files[0] else "config.json")
    try:
        return Path(snapshot_download(name, revision=commit, allow_patterns=list(files)))
    except Exception as error:  # offline, no access, a broken connection
        raise DataError(_unreachable(name, commit, error)) from error


def _unreachable(name: str, revision: str | None, error: Exception) -> str:
    at = f" at {revision}" if revision else ""
    return (
        f"{name}{at} is not in the local cache and cannot be fetched from the hub "
        f"({type(error).__name__}); check the name, go online, or give the path of a folder"
    )


def read_model(folder: Path, auto: str, dtype: str, device: str) -> tuple[Any, Any]:
    """A model of transformers, ready to run, and its tokenizer; only safetensors are read."""
    import torch
    import transformers

    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True
            )
            model = getattr(transformers, auto).from_pretrained(
                str(folder),
                dtype=getattr(torch, dtype),
                local_files_only=True,
                use_safetensors=True,
            )
    except Exception as error:  # whatever a broken folder makes the library raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{folder} cannot be opened as a model: {reason}") from error
    if not tokenizer.is_fast:
        raise DataError(f"{folder} has no fast tokenizer (tokenizer.json), which is needed here")
    tokenizer.padding_side = "right"
    return model.to(device_of(device)).eval(), tokenizer


@contextmanager
def quiet() -> Iterator[None]:
    """What the library prints while it loads is left out: what matters becomes an error."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def device_of(name: str) -> Any:
    """The device of that name; it must be there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DataError(
            f"there is no device {name}: {torch.cuda.device_count()} GPUs were found; write "
            "device: auto or device: cpu"
        )
    return device


def most_tokens(model: Any, tokenizer: Any, wanted: int | None) -> int:
    """How many tokens of a text are read: as many as the model has positions, or as wanted."""
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
