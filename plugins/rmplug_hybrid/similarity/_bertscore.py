"""BERTScore of the two responses of each pair."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import torch

from rmplug import DataError, Pairs, notice, text_of
from rmplug.models.hub import fetched
from rmplug.models.installed_encoders import MINILM

from ._model_folder import FILES, most_tokens, read_model
from .bertscore import BertScore

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
SIDES = ("chosen", "rejected")
PARTS = ("bertscore_precision", "bertscore_recall", "bertscore")
WORDS = {"punctuation": re.compile(r"\w+|[^\w\s]"), "whitespace": re.compile(r"\S+")}
CUT = "response cut to fit the encoder's max_length"
EMPTY = "response without a token that has weight: BERTScore 0"


@dataclass(frozen=True)
class Tokens:
    """The token ids of one text, and which of them are special; arrays of shape (length,)."""

    ids: Array
    special: Array


@dataclass(frozen=True)
class Opening:
    """Opens the encoder of a step, once per process."""

    step: BertScore
    weights: Array | None

    def __call__(self) -> Scorer:
        model, tokenizer = read_model(
            folder_of(self.step), "AutoModel", self.step.dtype, self.step.device
        )
        return Scorer(model, tokenizer, self.step, self.weights)


def folder_of(step: BertScore) -> Path:
    """The folder with the encoder's files."""
    if step.path is not None:
        return step.path
    if step.encoder == "minilm":
        return MINILM.folder()
    return fetched(step.encoder, step.revision, FILES)


def token_weights(data: Pairs, step: BertScore) -> Array:
    """How much each token of the vocabulary counts: inverse document frequencies over all
    responses, of shape (vocabulary,)."""
    scorer = Opening(step.model_copy(update={"device": "cpu"}), None)()
    found = np.zeros(scorer.vocabulary, dtype=np.int64)
    for batch in data.batches():
        for side in SIDES:
            for row in scorer.tokens(texts_of(batch, side)):
                found[np.unique(row.ids)] += 1
    weights: Array = np.log((2 * len(data) + 1) / (found + 1))
    return weights


def texts_of(batch: pa.RecordBatch, side: str) -> list[str]:
    """The responses of one side, as texts."""
    return [text or "" for text in text_of(batch.column(side)).to_pylist()]


class Scorer:
    """An encoder that compares texts."""

    def __init__(self, model: Any, tokenizer: Any, step: BertScore, weights: Array | None) -> None:
        self.model, self.tokenizer, self.weights = model, tokenizer, weights
        self.layer, self.batch_tokens = step.layer, step.batch_tokens
        self.device = next(model.parameters()).device
        self.most = most_tokens(model, tokenizer, step.max_length)
        self.vocabulary = max(len(tokenizer), int(model.config.vocab_size))
        layers = int(model.config.num_hidden_layers)
        if not -layers - 1 <= self.layer <= layers:
            raise DataError(
                f"the encoder has the layers 0 (embeddings) to {layers}; there is no {self.layer}"
            )

    def tokens(self, texts: Sequence[str], ids: Sequence[str] = ()) -> list[Tokens]:
        """The tokens of texts, as many as the encoder reads; ``ids`` name those that are cut."""
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
            Tokens(np.asarray(row, dtype=np.int64), np.asarray(special, dtype=bool))
            for row, special in zip(
                encoded["input_ids"], encoded["special_tokens_mask"], strict=True
            )
        ]

    def compare(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> Array:
        """Precision, recall and F1 of each two texts, of shape (rows, 3)."""
        found = np.zeros((len(first), 3))
        lengths = [max(len(a.ids), len(b.ids)) for a, b in zip(first, second, strict=True)]
        for places in _plan(lengths, self.batch_tokens):
            for part, values in self._halved(first, second, places):
                found[part] = values
        return found

    def _halved(
        self, first: Sequence[Tokens], second: Sequence[Tokens], places: Array
    ) -> Iterator[tuple[Array, Array]]:
        """One batch; what does not fit into the device's memory is halved."""
        try:
            yield places, self._batch([first[n] for n in places], [second[n] for n in places])
            return
        except torch.OutOfMemoryError as error:
            if len(places) == 1:
                raise DataError(
                    f"one pair does not fit into the memory of {self.device}; lower max_length"
                ) from error
        torch.cuda.empty_cache()
        for half in np.array_split(places, 2):
            yield from self._halved(first, second, half)

    def _batch(self, first: Sequence[Tokens], second: Sequence[Tokens]) -> Array:
        rows = [*first, *second]
        longest = max(len(row.ids) for row in rows)
        ids = np.full((len(rows), longest), self.tokenizer.pad_token_id or 0, dtype=np.int64)
        here = np.zeros((len(rows), longest), dtype=np.int64)
        weights = np.zeros((len(rows), longest), dtype=np.float32)
        for place, row in enumerate(rows):
            ids[place, : len(row.ids)] = row.ids
            here[place, : len(row.ids)] = 1
            weights[place, : len(row.ids)] = self._weights(row)
        with torch.inference_mode():
            states = self._states(torch.from_numpy(ids), torch.from_numpy(here))
            mask = torch.from_numpy(here).to(self.device).bool()
            scores = matched(states, mask, torch.from_numpy(weights).to(self.device))
        found: Array = scores.double().cpu().numpy()
        return found

    def _weights(self, row: Tokens) -> Array:
        own = np.ones(len(row.ids)) if self.weights is None else self.weights[row.ids]
        weights: Array = np.where(row.special, 0.0, own)
        return weights

    def has_weight(self, *rows: Tokens) -> bool:
        """Whether each text has a token that counts."""
        return all(bool(self._weights(row).any()) for row in rows)

    def _states(self, ids: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        """The states of every token at the layer, of length 1; shape (texts, longest, width)."""
        given = {"input_ids": ids.to(self.device), "attention_mask": here.to(self.device)}
        if self.layer == -1:
            states = self.model(**given)[0]
        else:
            states = self.model(**given, output_hidden_states=True).hidden_states[self.layer]
        unit: torch.Tensor = torch.nn.functional.normalize(states.float(), dim=-1)
        return unit


def matched(states: torch.Tensor, mask: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Precision, recall and F1 of texts, of shape (rows, 3), from unit vectors of their tokens: the
    first half of the rows are the candidates, the second half the references."""
    rows = len(states) // 2
    cosines = states[:rows] @ states[rows:].transpose(1, 2)
    first, second = mask[:rows, :, None], mask[rows:, None, :]
    best = cosines.masked_fill(~second, -torch.inf).amax(2)
    other = cosines.masked_fill(~first, -torch.inf).amax(1)
    sums = weights.sum(1)
    counts = (sums[:rows] > 0) & (sums[rows:] > 0)
    precision, recall = (
        torch.where(counts, (torch.where(w > 0, found, 0.0) * w).sum(1) / w.sum(1), 0.0)
        for w, found in ((weights[:rows], best), (weights[rows:], other))
    )
    total = precision + recall
    f1 = torch.where(total == 0, 0.0, 2 * precision * recall / total)
    return torch.stack([precision, recall, f1], dim=1).clamp(-1.0, 1.0)


def _plan(lengths: Sequence[int], batch_tokens: int) -> Iterator[Array]:
    """Places of pairs, longest first, cut so that two texts each of the longest stay within
    ``batch_tokens``."""
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, batch_tokens // max(1, 2 * lengths[order[start]]))
        yield order[start : start + rows]
        start += rows


@dataclass(frozen=True)
class Compare:
    """Row-wise: the scores of a batch's pairs."""

    scores: tuple[str, ...]
    words: str

    def __call__(self, scorer: Scorer, batch: pa.RecordBatch) -> dict[str, Array]:
        ids = batch.column("id").to_pylist()
        chosen, rejected = (texts_of(batch, side) for side in SIDES)
        first, second = (scorer.tokens(texts, ids) for texts in (chosen, rejected))
        same = [a.strip() == b.strip() for a, b in zip(chosen, rejected, strict=True)]
        found = np.ones((len(ids), 3))
        differ = np.flatnonzero(~np.array(same, dtype=bool))
        found[differ] = scorer.compare([first[n] for n in differ], [second[n] for n in differ])
        notice(EMPTY, [ids[n] for n in differ if not scorer.has_weight(first[n], second[n])])
        columns = dict(zip(PARTS, found.T, strict=True))
        if "bertscore_length" in self.scores:
            columns["bertscore_length"] = length_adjusted(
                columns["bertscore"], chosen, rejected, self.words
            )
        return {name: columns[name] for name in dict.fromkeys(self.scores)}


def length_adjusted(
    scores: Array, first: Sequence[str], second: Sequence[str], words: str
) -> Array:
    """Scores made smaller as the text with more characters has more words than the other."""
    pattern = WORDS[words]
    counts = np.array(
        [
            [len(pattern.findall(text)) for text in ((a, b) if len(a) > len(b) else (b, a))]
            for a, b in zip(first, second, strict=True)
        ],
        dtype=np.float64,
    ).reshape(-1, 2)
    longer, shorter = counts.T
    ratio = np.divide(longer, shorter, out=np.full(len(counts), np.inf), where=shorter > 0)
    adjusted: Array = scores * np.exp(1 - ratio)
    return adjusted
