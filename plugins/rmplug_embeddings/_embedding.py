"""Sentence vectors of a batch's texts, and the cosines between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sentence_transformers import SentenceTransformer

from rmplug import DataError, notice, text_of
from rmplug.arrays import Array

from ._encoders import open_encoder

if TYPE_CHECKING:
    from . import SentenceEmbedding


@dataclass(frozen=True)
class OpenEncoder:
    """A loaded encoder with the settings of its step."""

    model: SentenceTransformer
    normalise: bool
    prefix: str
    batch_tokens: int

    @property
    def width(self) -> int:
        """Numbers per vector."""
        return len(self.encode(["a"])[0][0])

    def encode(self, texts: Sequence[str]) -> tuple[Array, Array]:
        """Return float32 vectors of shape (texts, width), and a mask of the truncated texts.

        Only texts with the same number of tokens go together, so that padding cannot matter.
        """
        lengths, cut = self._lengths(texts)
        encoded: Array | None = None
        for length in np.unique(lengths)[::-1]:
            rows = np.flatnonzero(lengths == length)
            vectors = self._vectors([texts[row] for row in rows.tolist()], int(length))
            if encoded is None:
                encoded = np.empty((len(texts), vectors.shape[1]), dtype=np.float32)
            encoded[rows] = vectors
        assert encoded is not None
        return encoded, cut

    def _lengths(self, texts: Sequence[str]) -> tuple[Array, Array]:
        """Return the number of tokens read of each text, and a mask of the longer texts."""
        encoded = self.model.tokenizer(
            [self.prefix + text for text in texts], truncation=False, padding=False, verbose=False
        )
        lengths = np.array([len(ids) for ids in encoded["input_ids"]])
        most = self.model.max_seq_length or int(lengths.max())
        return np.minimum(lengths, most), lengths > most

    def _vectors(self, texts: list[str], length: int) -> Array:
        vectors = self.model.encode(
            texts,
            prompt=self.prefix or None,
            batch_size=max(1, self.batch_tokens // max(1, length)),
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=self.normalise,
        )
        return np.asarray(vectors, dtype=np.float32)


@dataclass(frozen=True)
class Opening:
    """The opening of a step's encoder, once per process."""

    step: SentenceEmbedding

    def __call__(self) -> OpenEncoder:
        step = self.step
        return OpenEncoder(open_encoder(step), step.normalise, step.prefix, step.batch_tokens)


@dataclass(frozen=True)
class Embed:
    """The row-wise vectors and cosines; each column describes one text or two."""

    columns: tuple[tuple[str, tuple[str, ...]], ...]

    def __call__(self, encoder: OpenEncoder, batch: pa.RecordBatch) -> dict[str, Array]:
        sides = list(dict.fromkeys(side for _, about in self.columns for side in about))
        vectors = embedded(encoder, batch, sides)
        return {
            name: vectors[about[0]] if len(about) == 1 else cosine(*(vectors[s] for s in about))
            for name, about in self.columns
        }


def embedded(
    encoder: OpenEncoder, batch: pa.RecordBatch, sides: Sequence[str]
) -> Mapping[str, Array]:
    """Encode the texts of each side; identical texts once."""
    if not batch.num_rows:
        return {side: np.zeros((0, encoder.width), np.float32) for side in sides}
    texts = [pc.fill_null(text_of(batch.column(side)), "") for side in sides]
    coded = pa.concat_arrays(texts).dictionary_encode()
    vectors, cut = encoder.encode(coded.dictionary.to_pylist())
    indices = np.asarray(coded.indices).reshape(len(sides), -1)
    for side, rows in zip(sides, indices, strict=True):
        _check_and_tell(side, batch.column("id"), vectors[rows], cut[rows])
    return {side: vectors[rows] for side, rows in zip(sides, indices, strict=True)}


def _check_and_tell(side: str, ids: pa.Array, vectors: Array, cut: Array) -> None:
    odd = ~np.isfinite(vectors).all(axis=1)
    if odd.any():
        names = ids.filter(pa.array(odd)).to_pylist()
        raise DataError(
            f"the encoder gave numbers that are not finite for {side} of {len(names)} rows "
            f"({', '.join(names[:5])}); use dtype: float32"
        )
    notice(f"{side} longer than the encoder reads", ids.filter(pa.array(cut)).to_pylist())


def cosine(first: Array, second: Array) -> Array:
    """Return the float64 cosine between rows of the same index; NaN where one is all zeros."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    sizes = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    with np.errstate(invalid="ignore"):
        values = (first * second).sum(axis=1) / sizes
    return np.asarray(np.clip(values, -1, 1))
