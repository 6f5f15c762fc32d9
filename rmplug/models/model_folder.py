"""Folders with a model of transformers, checked before a library opens them: they may be a
stranger's."""

from __future__ import annotations

from pathlib import Path

from rmplug.errors import DataError

from .settings import check_settings
from .sizes import check_counts, check_size
from .tokenizer_files import FILE, check_tokenizer_file
from .weights import check_weights

ADAPTER = "adapter_config.json"


def check_model_folder(folder: Path, auto: str = "AutoModel") -> None:
    """Raise DataError for a folder whose model, opened by the ``auto`` class of transformers, would
    run code, read pickles, be fetched from elsewhere, or take endless time or memory."""
    if (folder / ADAPTER).exists():
        # the libraries open the model that it names, wherever that is
        raise DataError(f"{folder} is an adapter ({ADAPTER}), not a model; merge it into its model")
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder} is no folder of a model: it has no config.json")
    check_settings(folder)
    check_counts(folder)
    shapes = check_weights(folder, allow_pickle=False)
    check_tokenizer_file(folder / FILE)
    if shapes is not None:
        check_size(folder, _read_config(folder), auto, shapes)


def _read_config(folder: Path) -> object:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            str(folder), trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # whatever odd entries make a configuration raise
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"config.json in {folder} cannot be used: {line}") from error
