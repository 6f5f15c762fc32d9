"""Trained networks as files: whole models, or adapters alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft import PeftModel, get_peft_model_state_dict

from rmplug import DataError
from rmplug.models.digests import model_digests
from rmplug.models.installed_encoders import MINILM
from rmplug.models.quiet import quiet

from ._adapters import PREFIX, has_adapter
from ._format_file import NAME, RECORDED, Below, FormatFile
from ._probes import probe_conversations, probe_texts, tokenizer_digest

if TYPE_CHECKING:
    from ._trainable import Trainable


def save_network(model: Trainable, network: Any, directory: Path) -> None:
    """Write the weights of a model's network, or those of the adapter around it, its tokenizer and
    its format."""
    adapted = isinstance(network, PeftModel)
    below = record_below(model, network) if adapted else None
    with quiet():
        if adapted:
            save_adapter(network, directory, model.loaded.new_head)
        else:
            save_model(network, directory, model.loaded.use_cache)
        model.tokenizer.save_pretrained(str(directory))
    text = json.dumps(format_of(model, below).model_dump(), indent=1, ensure_ascii=False)
    (directory / NAME).write_text(text + "\n", encoding="utf-8")


def format_of(model: Trainable, below: Below | None) -> FormatFile:
    """Return how a model reads conversations."""
    step, loaded = model.step, model.loaded
    kept = set(RECORDED) & step.reopened_with - {"outputs"}
    params = {**step.model_dump(mode="json", include=kept), **_effective(model)}
    return FormatFile(
        format=1,
        kind=step.kind,
        params={name: params[name] for name in RECORDED if name in params},
        pad_token_id=loaded.padding,
        tokenizer=tokenizer_digest(loaded.tokenizer),
        texts=probe_texts(loaded),
        conversations=probe_conversations(loaded),
        below=below,
    )


def _effective(model: Trainable) -> dict[str, Any]:
    """Return the values of parameters that a step may leave open."""
    step, loaded = model.step, model.loaded
    token = (
        None if loaded.padding is None else loaded.tokenizer.convert_ids_to_tokens(loaded.padding)
    )
    dtype = str(loaded.model.dtype).removeprefix("torch.")
    return {
        "max_length": loaded.tokenizing.max_length,
        "pad_token": token if token in loaded.tokenizer.get_vocab() else None,
        "dtype": dtype if dtype in ("float32", "bfloat16", "float16") else "auto",
        **({"outputs": list(model.outputs)} if "outputs" in step.reopened_with else {}),
    }


def record_below(model: Trainable, network: Any) -> Below:
    """Return the model below an adapter. Raises DataError for one that has another adapter in its
    weights."""
    step, folder = model.step, model.loaded.folder
    if step.adapter is not None and network is not model.adapted:
        raise DataError(model.adapter_in_weights)
    if step.name == MINILM.name:
        return Below(params={"name": step.name}, digests={})
    # the cache names the folder of a commit by the commit
    params = {"name": step.name, "revision": folder.name}
    if step.path is not None:
        params = {"path": str(folder.absolute())}
    return Below(params=params, digests=model_digests(folder))


def save_model(network: Any, directory: Path, use_cache: bool | None) -> None:
    """Write a whole model as safetensors, with what its configuration said of ``use_cache``, which
    scoring has turned off. Raises DataError where an adapter is still beside its weights."""
    if has_adapter(network):
        raise DataError(
            "the network has an adapter beside its weights; save the PeftModel, or merge"
        )
    text = network.config.get_text_config()
    before, text.use_cache = text.use_cache, use_cache
    if use_cache is None:
        del text.use_cache
    try:
        network.save_pretrained(str(directory))
    finally:
        text.use_cache = before


def save_adapter(network: Any, directory: Path, new_head: Sequence[str]) -> None:
    """Write an adapter as safetensors. Raises DataError where it lacks parameters of a new head,
    which are nowhere else."""
    held = get_peft_model_state_dict(network, save_embedding_layers=False)
    lost = [name for name in new_head if f"{PREFIX}{name}" not in held]
    if lost:
        raise DataError(
            f"the adapter does not hold {lost[0]} of the new head, which would be lost; name its "
            "module in modules_to_save"
        )
    # without the question whether the model's embeddings changed, which asks the hub
    network.save_pretrained(str(directory), save_embedding_layers=False)
