"""Tokens of two texts, matched by the states that an encoder gives them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rmplug import DataError, Pairs, notice
from rmplug.arrays import Array
from rmplug.models.encoder_choice import locate_encoder

from ._model_folder import FILES, count_readable_tokens, read_model
from ._texts import read_texts

SIDES = ("chosen", "rejected")
CUT = "response cut to fit the encoder's max_length"


@dataclass(frozen=True)
class TextTokens:
    """The token ids of one text, and a mask of the special ones; arrays of shape (length,)."""

    ids: Array
    special: Array


@dataclass(frozen=True, kw_only=True)
class TokenMatcherOpener:
    """An opener of the encoder of a step, once per process."""

    encoder: str
    revision: str | None
    path: Path | None
    layer: int
    max_length: int | None
    dtype: str
    device: str
    batch_tokens: int
    weights: Array | None = None
    """The weight of each token of the vocabulary, of shape (vocabulary,); all the same unless
    given."""

    def __call__(self) -> TokenMatcher:
        folder = locate_encoder(self.encoder, self.revision, self.path, FILES)
        model, tokenizer = read_model(folder, "AutoModel", self.dtype, self.device)
        return TokenMatcher(
            model, tokenizer, self.layer, self.max_length, self.batch_tokens, self.weights
        )


def weigh_tokens(data: Pairs, opener: TokenMatcherOpener) -> Array:
    """Count the responses that contain each token of the vocabulary, and return the inverse
    document frequencies, of shape (vocabulary,)."""
    matcher = replace(opener, device="cpu")()
    counts = np.zeros(matcher.vocabulary, dtype=np.int64)
    for batch in data.batches():
        for side in SIDES:
            for row in matcher.tokens(read_texts(batch, side)):
                counts[np.unique(row.ids)] += 1
    weights: Array = np.log((2 * len(data) + 1) / (counts + 1))
    return weights


class TokenMatcher:
    """An encoder that compares texts."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        layer: int,
        max_length: int | None,
        batch_tokens: int,
        weights: Array | None,
    ) -> None:
        self.model, self.tokenizer, self.weights = model, tokenizer, weights
        self.layer, self.batch_tokens = layer, batch_tokens
        self.device = next(model.parameters()).device
        self.most = count_readable_tokens(model, tokenizer, max_length)
        self.vocabulary = max(len(tokenizer), int(model.config.vocab_size))
        layers = int(model.config.num_hidden_layers)
        if not -layers - 1 <= self.layer <= layers:
            raise DataError(
                f"the encoder has the layers 0 (embeddings) to {layers}; there is no {self.layer}"
            )

    def tokens(self, texts: Sequence[str], ids: Sequence[str] = ()) -> list[TextTokens]:
        """Tokenize texts, as many tokens as the encoder reads; ``ids`` name those that are cut."""
        if not texts:
            return []
        encoded = self.tokenizer(
            [text.strip() for text in texts],
            truncation=True,
            max_length=self.most,
            return_special_tokens_mask=True,
            return_attention_mask=False,
        )
        long = [bool(entry.overflowing) for entry in encoded.encodings]
        notice(CUT, [name for name, is_so in zip(ids, long, strict=False) if is_so], "changed")
        return [
            TextTokens(np.asarray(row, dtype=np.int64), np.asarray(special, dtype=bool))
            for row, special in zip(
                encoded["input_ids"], encoded["special_tokens_mask"], strict=True
            )
        ]

    def compare(self, first: Sequence[TextTokens], second: Sequence[TextTokens]) -> Array:
        """Compute precision, recall and F1 of each two texts, of shape (rows, 3)."""
        scores = np.zeros((len(first), 3))
        lengths = [max(len(a.ids), len(b.ids)) for a, b in zip(first, second, strict=True)]
        for rows in _plan_batches(lengths, self.batch_tokens):
            for part, values in self._halved(first, second, rows):
                scores[part] = values
        return scores

    def _halved(
        self, first: Sequence[TextTokens], second: Sequence[TextTokens], rows: Array
    ) -> Iterator[tuple[Array, Array]]:
        """Compare one batch; what does not fit into the device's memory is halved."""
        try:
            yield rows, self._batch([first[n] for n in rows], [second[n] for n in rows])
            return
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                raise DataError(
                    f"one pair does not fit into the memory of {self.device}; lower max_length"
                ) from error
        torch.cuda.empty_cache()
        for half in np.array_split(rows, 2):
            yield from self._halved(first, second, half)

    def _batch(self, first: Sequence[TextTokens], second: Sequence[TextTokens]) -> Array:
        rows = [*first, *second]
        longest = max(len(row.ids) for row in rows)
        ids = np.full((len(rows), longest), self.tokenizer.pad_token_id or 0, dtype=np.int64)
        here = np.zeros((len(rows), longest), dtype=np.int64)
        weights = np.zeros((len(rows), longest), dtype=np.float32)
        for index, row in enumerate(rows):
            ids[index, : len(row.ids)] = row.ids
            here[index, : len(row.ids)] = 1
            weights[index, : len(row.ids)] = self._weights(row)
        with torch.inference_mode():
            states = self._states(torch.from_numpy(ids), torch.from_numpy(here))
            mask = torch.from_numpy(here).to(self.device).bool()
            scores = match_tokens(states, mask, torch.from_numpy(weights).to(self.device))
        values: Array = scores.double().cpu().numpy()
        return values

    def _weights(self, row: TextTokens) -> Array:
        own = np.ones(len(row.ids)) if self.weights is None else self.weights[row.ids]
        weights: Array = np.where(row.special, 0.0, own)
        return weights

    def has_weight(self, *rows: TextTokens) -> bool:
        """Check whether each text has a token that counts."""
        return all(bool(self._weights(row).any()) for row in rows)

    def _states(self, ids: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        """Compute unit states of every token at the layer, shape (texts, longest, width)."""
        inputs = {"input_ids": ids.to(self.device), "attention_mask": here.to(self.device)}
        if self.layer == -1:
            states = self.model(**inputs)[0]
        else:
            states = self.model(**inputs, output_hidden_states=True).hidden_states[self.layer]
        unit: torch.Tensor = torch.nn.functional.normalize(states.float(), dim=-1)
        return unit


def match_tokens(states: torch.Tensor, mask: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Match unit vectors of tokens, and return precision, recall and F1 of shape (rows, 3): the
    first half of the rows are the candidates, the second half the references."""
    rows = len(states) // 2
    cosines = states[:rows] @ states[rows:].transpose(1, 2)
    first, second = mask[:rows, :, None], mask[rows:, None, :]
    best = cosines.masked_fill(~second, -torch.inf).amax(2)
    other = cosines.masked_fill(~first, -torch.inf).amax(1)
    sums = weights.sum(1)
    counts = (sums[:rows] > 0) & (sums[rows:] > 0)
    precision, recall = (
        torch.where(counts, (torch.where(w > 0, nearest, 0.0) * w).sum(1) / w.sum(1), 0.0)
        for w, nearest in ((weights[:rows], best), (weights[rows:], other))
    )
    total = precision + recall
    f1 = torch.where(total == 0, 0.0, 2 * precision * recall / total)
    return torch.stack([precision, recall, f1], dim=1).clamp(-1.0, 1.0)


def _plan_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[Array]:
    """Cut the pairs into batches, longest first, so that two texts each of the longest stay within
    ``batch_tokens``."""
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, batch_tokens // max(1, 2 * lengths[order[start]]))
        yield order[start : start + rows]
        start += rows
