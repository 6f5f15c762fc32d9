"""Rewards after each token, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError, RewardModel
from rmplug.arrays import Array
from rmplug.data.sides import stacked
from rmplug_hf.loading._classifier import Classifier
from rmplug_hf.loading._transformer import Transformer
from rmplug_hf.loading._value_head import ValueHeadModel
from rmplug_hf.tokens._batch import Batch
from rmplug_hf.tokens._tokenizing import Tokens

HALF = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer writes for a part of a character."""
NEAR = 1e-3
"""How far, of the size of a score, its own computation may round from the head at the last token;
another position is far beyond."""


@dataclass(frozen=True)
class TrajectoryQuery:
    """The row-wise trajectories of each side of a batch."""

    sides: Sequence[str]

    def __call__(self, model: RewardModel, batch: pa.RecordBatch) -> Mapping[str, Any]:
        head = linear_head(model)
        assert isinstance(model, Transformer)
        responses = stacked(batch, self.sides)
        if not batch.num_rows:
            rows, rewards = [], np.zeros((0, 0, len(model.outputs)))
        else:
            rows = model.loaded.tokenizing.rows(responses, bounds=True)
            rewards = _rewards(model, head, rows)
            _check_last(model, rows, rewards, responses)
        columns: dict[str, Any] = {}
        for place, side in enumerate(self.sides):
            part = slice(place * batch.num_rows, (place + 1) * batch.num_rows)
            columns |= _columns(model, side, rows[part], rewards[part])
        return columns


def linear_head(model: RewardModel) -> Any:
    """Return the function from states to rewards of a model with a linear head on its last layer.
    Raises DataError for any other model, with the reason."""
    name = model.name or getattr(getattr(model, "loaded", None), "folder", type(model).__name__)
    if isinstance(model, ValueHeadModel):
        head: Any = model.rewards
    elif isinstance(model, Classifier) and hasattr(model.loaded.model, "score"):
        head = _score_of(model)
    else:
        raise DataError(
            f"{name} has no linear head that is read at the last token; token-rewards takes a "
            "value-head, or a sequence-classifier that is a decoder"
        )
    if not model.causal:
        raise DataError(
            f"{name} is not causal: the states of its tokens depend on later ones, so that it has "
            "no reward in the middle of a text; give a decoder"
        )
    return head


def _score_of(model: Classifier) -> Any:
    if model.awaits_training:
        raise DataError("the model has a new head of random numbers; train it with reward-model")
    return model.loaded.model.score


def _columns(
    model: Transformer, side: str, rows: Sequence[Tokens], rewards: Array
) -> dict[str, Any]:
    columns = {
        f"{side}.tokens": np.array([float(len(row)) for row in rows]),
        f"{side}.start": np.array([float(row.start) for row in rows]),
        f"{side}.ids": pa.array([row.ids for row in rows], pa.list_(pa.int64())),
        f"{side}.texts": pa.array(
            [token_texts(model.loaded.tokenizer, row.ids.tolist()) for row in rows],
            pa.list_(pa.string()),
        ),
    }
    for place, output in enumerate(model.outputs):
        name = "rewards" if output == "reward" else f"rewards.{output}"
        lists = [rewards[n, : len(row), place] for n, row in enumerate(rows)]
        columns[f"{side}.{name}"] = pa.array(lists, pa.list_(pa.float32()))
    return columns


def _rewards(model: Transformer, head: Any, rows: Sequence[Tokens]) -> Array:
    """Return rewards of shape (rows, longest, outputs); what is beyond a row's tokens is 0."""
    longest = max(len(row) for row in rows)
    columns = getattr(model, "columns", [0])

    def forward(batch: Batch) -> torch.Tensor:
        hidden = model.hidden(batch)
        states = hidden.float() if isinstance(model, ValueHeadModel) else hidden
        values: torch.Tensor = head(states)[..., columns].float()
        values = values * batch.mask.unsqueeze(-1)
        return torch.nn.functional.pad(values, (0, 0, 0, longest - values.shape[1]))

    return model.run(rows, forward)


def _check_last(
    model: Transformer, rows: Sequence[Tokens], rewards: Array, responses: pa.RecordBatch
) -> None:
    """Refuse a model whose score of the first row is another than the head's at the last token: it
    is read elsewhere, or changed after."""
    score = np.asarray(model.score(responses.slice(0, 1)), dtype=np.float64).reshape(-1)
    last = rewards[0, len(rows[0]) - 1]
    far = np.abs(score - last) > NEAR * (1 + np.abs(score)) * _rounding(model)
    if far.any():
        raise DataError(
            f"the score of {responses.column('id')[0]} is {score[0]:.4g}, and the head gives "
            f"{last[0]:.4g} of its last token: this model does not read its head there"
        )


def _rounding(model: Transformer) -> float:
    """Return how much coarser than float32 the numbers of the model are, 100 at most."""
    return 1.0 if model.loaded.model.dtype == torch.float32 else 100.0


def token_texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Return the text that each token adds; the texts together are the text of all. A character of
    several tokens stands at its last."""
    options = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    texts: list[str] = []
    first = told = 0  # what is decoded anew, and what of it has been told
    for place in range(len(ids)):
        before = tokenizer.decode(ids[first:told], **options)
        text = tokenizer.decode(ids[first : place + 1], **options)
        if text.endswith(HALF) and place + 1 < len(ids):
            texts.append("")
            continue
        texts.append(text[len(before) :])
        first, told = told, place + 1
    return texts
