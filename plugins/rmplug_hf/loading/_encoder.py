"""Encoders: pooled states of a model without a head, and the identity of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import pyarrow as pa

from rmplug import DataError, Origin
from rmplug.arrays import Array
from rmplug.models.digests import defining_files, file_state, model_digests
from rmplug.models.installed_encoders import MINILM
from rmplug.notices import Found, collect_notices, tell_again

from ._loading import Loaded, load
from ._locations import folder_of
from ._states import States, states_and_prompts, states_of
from ._transformer import Transformer

if TYPE_CHECKING:
    from .encoders import Encoder


_in_use: dict[Any, tuple[ref[Loaded], Found]] = {}
"""The networks that encoders of this process use, by what they are, with what was noticed when they
were loaded."""


def load_encoder(step: Encoder) -> EncoderModel:
    """Load the encoder of a step. A network of the same settings and files that is in use in this
    process is used again: a head's encoder is often the one that it was trained on a moment ago."""
    key = _settings_and_files(step)
    known, noticed = _in_use.get(key, (None, {}))
    loaded = known() if known is not None else None
    if loaded is None:
        with collect_notices() as noticed:
            loaded = load(step, "AutoModel")
        for name in [name for name, (other, _) in _in_use.items() if other() is None]:
            del _in_use[name]
        _in_use[key] = ref(loaded), noticed
    tell_again(noticed)
    return EncoderModel(loaded, step)


_OF_FILES, _OF_STATES = ("name", "path", "revision", "adapter"), ("layer", "pooling", "normalise")


def _settings_and_files(step: Encoder) -> Any:
    """Return all that a network and its tokens follow from."""
    files = defining_files(folder_of(step), step.adapter).values()
    settings = step.model_dump_json(exclude={*_OF_FILES, *_OF_STATES})
    return settings, tuple((path.resolve(), file_state(path)) for path in files)


class EncoderModel(Transformer):
    """An encoder with pooled states of shape (rows, width); it has no scores."""

    def __init__(self, loaded: Loaded, step: Encoder) -> None:
        super().__init__(loaded)
        self.step = step

    def score(self, responses: pa.RecordBatch) -> Array:
        """Raise an error: an encoder has no scores."""
        raise DataError(
            f"the encoder {self.name or self.step.name or self.step.path} has no score; train a "
            "linear-head on it and ask that"
        )

    def origin(self) -> Origin | None:
        """Return settings, location of the files and their digests, without permissions; None where
        its states are changed, which a record of it would not say."""
        if self.loaded.change is not None:
            return None
        step, folder = self.step, self.loaded.folder
        params = step.model_dump(mode="json", include=set(step.reopened_with))
        if step.path is not None:
            params["path"] = str(step.path.absolute())
        elif step.name != MINILM.name:
            params["revision"] = folder.name  # the cache names the folder of a commit by the commit
        if step.adapter is not None:
            params["adapter"] = str(step.adapter.absolute())
        return Origin(step.kind, params, model_digests(folder, step.adapter))

    def vectors(self, responses: pa.RecordBatch, part: str = "both") -> Array:
        """Return float32 states of shape (rows, width) of prompts with responses, or of prompts
        alone (``prompt``, ``turn``)."""
        return pooled_states(self, responses, States(), part)

    def vectors_and_prompts(self, responses: pa.RecordBatch, part: str) -> tuple[Array, Array]:
        """Return states of prompts with responses, and of the prompts alone (``part``), from one
        pass where the model allows it."""
        return pooled_with_prompts(self, responses, responses, States(), part)


def pooled_states(
    model: Transformer, responses: pa.RecordBatch, states: States, part: str = "both"
) -> Array:
    """Return pooled states; settings left open are those of the encoder."""
    return _scaled(model, states_of(model, responses, _own(model, states), part))


def pooled_with_prompts(
    model: Transformer,
    responses: pa.RecordBatch,
    prompts: pa.RecordBatch,
    states: States,
    part: str,
) -> tuple[Array, Array]:
    """Return pooled states of conversations, and of their prompts alone."""
    both = states_and_prompts(model, responses, prompts, _own(model, states), part)
    return _scaled(model, both[0]), _scaled(model, both[1])


def _own(model: Transformer, states: States) -> States:
    if not isinstance(model, EncoderModel):
        return states
    return states.filled(model.step.layer, model.step.pooling)


def _scaled(model: Transformer, states: Array) -> Array:
    return unit(states) if isinstance(model, EncoderModel) and model.step.normalise else states


def unit(states: Array) -> Array:
    """Scale states (the last dimension) to length 1; zeros stay."""
    sizes = np.linalg.norm(states, axis=-1, keepdims=True)
    return np.asarray(states / np.maximum(sizes, 1e-12), dtype=np.float32)
