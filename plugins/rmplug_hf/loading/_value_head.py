"""A transformer with a linear head of its own as a reward model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError, Origin
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.digests import model_digests
from rmplug.models.quiet import quiet
from rmplug.models.raw_inputs import RawInput
from rmplug_hf.tokens._batch import Batch
from rmplug_hf.tokens._reads import last_token
from rmplug_hf.tokens._tokenizing import Tokens

from ._as_trained import as_trained
from ._light_imports import light_imports
from ._loading import Loaded, check_settings_of, load, read_config
from ._locations import folder_of
from ._network import LANGUAGE_HEADS, Given, check_unused, empty_model
from ._transformer import Transformer, pooled, raw_tokens
from ._weight_files import Tensors, parted, read_weights
from .value_head_names import heads_among

if TYPE_CHECKING:
    from .value_heads import ValueHead


def load_value_head(step: ValueHead) -> ValueHeadModel:
    """Load the transformer and the head of a step."""
    step = as_trained(step).step
    for name, message in step.mistakes({}):
        raise DataError(f"{name}: {message}")
    folder = folder_of(step)
    check_settings_of(folder, step)
    file = step.weights or folder
    tensors = read_weights(file, step.allow_pickle_weights)
    with quiet(), light_imports():
        drawn = empty_model(read_config(folder, step), "AutoModel", step.trust_remote_code)
    found = parted(tensors, drawn.state_dict().keys(), drawn.base_model_prefix or "model", file)
    others, head_file = found.others, file
    if step.head_weights is not None:
        head_file = step.head_weights
        others = {**others, **read_weights(head_file, step.allow_pickle_weights)}
    weight, bias, used = _head_of(step, others, head_file)
    if step.unused_weights == "error":
        left = [name for name in others if name not in used and not _is_language_head(name)]
        check_unused(file, left, f"{type(drawn).__name__} with a linear head", ())
    loaded = load(step, "AutoModel", weights=Given(file, found.body, body=True))
    return ValueHeadModel(loaded, step, weight, bias)


def _head_of(
    step: ValueHead, tensors: Tensors, file: Path
) -> tuple[torch.Tensor, torch.Tensor, set[str]]:
    """Return the weights of the head, float32 of shape (outputs, width), its bias of shape
    (outputs,), and the names of both."""
    name = _name_of_head(step, tensors, file)
    stem = name.removesuffix(".weight")
    weight = tensors[name].float()
    count = len(step.outputs or ("reward",))
    if weight.ndim != 2 or weight.shape[0] != count:
        raise DataError(
            f"{name} in {file} has the shape {tuple(weight.shape)}, and a head with "
            f"{count} output{'s' * (count > 1)} has ({count}, width); name every output "
            "(outputs), or the key of the last layer (head)"
        )
    bias = tensors.get(f"{stem}.bias")
    used = {name} if bias is None else {name, f"{stem}.bias"}
    return weight, torch.zeros(count) if bias is None else bias.float().reshape(count), used


def _name_of_head(step: ValueHead, tensors: Tensors, file: Path) -> str:
    if step.head is not None:
        given = [name for name in (step.head, f"{step.head}.weight") if name in tensors]
        if not given:
            raise DataError(
                f"{file} has no weights {step.head!r} beside the transformer's; it has "
                f"{some(sorted(tensors), 8) or 'no others'}"
            )
        return given[0]
    names = heads_among(tensors)
    if len(names) != 1:
        what = f"{len(names)} heads by their names" if names else "no head with a known name"
        raise DataError(
            f"{file} has {what} ({some(names or sorted(tensors), 8)}); "
            "name the key of its weights (head), or the file that has it (head_weights)"
        )
    return names[0]


def _is_language_head(name: str) -> bool:
    return any(name.startswith(head) or f".{head}" in name for head in LANGUAGE_HEADS)


class ValueHeadModel(Transformer):
    """A transformer with a linear head, read at the last token; scores of shape (rows, outputs)."""

    def __init__(
        self, loaded: Loaded, step: ValueHead, weight: torch.Tensor, bias: torch.Tensor
    ) -> None:
        super().__init__(loaded)
        if weight.shape[1] != self.width:
            raise DataError(
                f"the head reads states of {weight.shape[1]} numbers, and the transformer in "
                f"{loaded.folder} has {self.width}; they are not of the same model"
            )
        self.step = step
        self.weight, self.bias = weight.to(loaded.device), bias.to(loaded.device)
        names: Sequence[str] = step.outputs or ("reward",)
        self.columns = [names.index(step.only)] if step.only else list(range(len(names)))
        self.outputs = ("reward",) if step.only else tuple(names)

    def origin(self) -> Origin | None:
        """Return settings, location of the files and their digests, without permissions; None where
        weights stand outside the folder, whose digests no record holds."""
        step, folder = self.step, self.loaded.folder
        if step.weights is not None or step.head_weights is not None:
            return None
        params = step.model_dump(mode="json", include=set(step.reopened_with))
        if step.path is not None:
            params["path"] = str(step.path.absolute())
        else:
            params["revision"] = folder.name  # the cache names the folder of a commit by the commit
        return Origin(step.kind, params, model_digests(folder))

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return scores of shape (rows, outputs)."""
        if not responses.num_rows:
            return np.zeros((0, len(self.outputs)))
        return self._scores(self.loaded.tokenizing.rows(responses))

    def score_raw(self, inputs: Sequence[RawInput], add_special_tokens: bool = True) -> Array:
        """Return scores (inputs, outputs) of texts or token ids as they are."""
        return self._scores(raw_tokens(self.loaded, inputs, add_special_tokens))

    def _scores(self, rows: Sequence[Tokens]) -> Array:
        asked = {"value-head": self._head_digest}
        return self.run(rows, self._last, asked, last_token).astype(np.float64)[:, self.columns]

    @cached_property
    def _head_digest(self) -> str:
        """The SHA-256 of the head's numbers, which may stand in a file of their own."""
        numbers = torch.cat([self.weight.reshape(-1), self.bias]).cpu().numpy()
        return hashlib.sha256(numbers.tobytes()).hexdigest()

    def _last(self, batch: Batch) -> torch.Tensor:
        return self.rewards(pooled(self.hidden(batch), batch, "last"))

    def rewards(self, states: torch.Tensor) -> torch.Tensor:
        """Return what the head gives of float32 states of the last layer."""
        return states @ self.weight.T + self.bias
