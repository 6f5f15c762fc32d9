"""A tokenizer without its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel
from rmplug.errors import some
from rmplug.models.conversation_tokens import Part
from rmplug.models.quiet import quiet
from rmplug_hf.tokens._tokenizing import Tokenizing

from ._format_file import find_format
from ._light_imports import light_imports
from ._loading import check_settings_of, read_config, read_tokenizer, tokenizing_of
from ._locations import tokenizer_folder
from ._network import empty_model

if TYPE_CHECKING:
    from .tokenizers import Tokenizer

READ = ("template", "turn", "roles", "system", "max_length", "truncate")
"""The parameters of a trained model that say how it reads."""


def load_tokenizer(step: Tokenizer) -> TokenizerModel:
    """Load the tokenizer of a step; of the model, only its configuration is read."""
    folder = tokenizer_folder(step)
    check_settings_of(folder, step)
    step = _as_trained(step, folder)
    with quiet(), light_imports():
        config = read_config(folder, step)
        tokenizer = read_tokenizer(folder, step)
        # its modules say how many positions it has, which configurations count differently
        model = empty_model(config, "AutoModel", step.trust_remote_code)
    return TokenizerModel(tokenizing_of(step, tokenizer, model, folder))


def _as_trained(step: Tokenizer, folder: Path) -> Tokenizer:
    """Return the step with what the folder of a trained model says where the spec says nothing."""
    found = find_format(folder)
    recorded = {} if found is None else {n: found.params[n] for n in READ if n in found.params}
    own = {name: getattr(step, name) for name in step.model_fields_set}
    return step.model_validate({**recorded, **own})


class TokenizerModel(RewardModel):
    """The token ids of conversations; it has no scores."""

    outputs = ()

    def __init__(self, tokenizing: Tokenizing) -> None:
        self.tokenizing = tokenizing

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        """Raise an error: a tokenizer has no scores."""
        raise DataError(
            f"the tokenizer {self.name} has no scores; give it to endpoint-scores or "
            "endpoint-states, as tokens"
        )

    def token_ids(self, responses: pa.RecordBatch, part: Part = "both") -> list[list[int]]:
        """Return the token ids of each row, as the model gets them in this process."""
        rows = self.tokenizing.rows(responses, part)
        ids = responses.column("id").to_pylist()
        parted = [id for id, row in zip(ids, rows, strict=True) if row.segments is not None]
        if parted:
            raise DataError(
                f"{len(parted)} rows ({some(parted, 3)}) become two segments, which token ids do "
                "not tell apart; use a template that is no pair, or api: score"
            )
        return [row.ids.tolist() for row in rows]
