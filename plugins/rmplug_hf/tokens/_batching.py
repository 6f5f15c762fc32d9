"""Padded batches of bounded size, and their results in the order of the rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from rmplug import DataError
from rmplug.arrays import Array

from ._batch import Batch, padded, plan
from ._budget import TokenBudget
from ._reads import Reads
from ._shared_prompts import Band, Sharing, behind_prompts, plan_bands
from ._tokenizing import Tokens

Forward: TypeAlias = Callable[[Batch], torch.Tensor]


def run_batches(
    rows: Sequence[Tokens],
    forward: Forward,
    *,
    budget: TokenBudget,
    pad: int | None,
    vocabulary: int,
    device: torch.device,
    sharing: Sharing | None = None,
    reads: Reads | None = None,
) -> Array:
    """Run ``forward`` on every row: an array of shape (rows, …), in float32 (float64 is kept).

    ``forward`` gives one entry per row of its batch, and depends on nothing but that row: rows with
    the same tokens, segments and bounds go through it once. Rows of like length go together, at
    most the tokens of ``budget`` with padding at once. ``pad`` is the model's pad token; without
    one (``None``) an id below ``vocabulary`` is taken that none of the batch's rows contains, so
    that a model that looks for the last token that is no padding finds the last of the row. With
    ``sharing``, what rows begin with alike is run once where that saves enough. Batches say of
    which tokens the output is read, where ``reads`` tells it.
    """
    rows, at = distinct(rows)
    if not rows:
        raise DataError("there are no rows to run the model on")
    run = Running(forward, budget, pad, vocabulary, device, reads)
    results: Array | None = None
    with torch.inference_mode():
        for indices, result in run.all_batches(rows, sharing):
            values = (result if result.dtype == torch.float64 else result.float()).cpu().numpy()
            if results is None:
                results = np.empty((len(rows), *values.shape[1:]), dtype=values.dtype)
            results[indices] = values
    assert results is not None
    return results if len(rows) == len(at) else results[at]


def distinct(rows: Sequence[Tokens]) -> tuple[list[Tokens], Array]:
    """Return the distinct rows in order of first appearance, and each row's index among them."""
    first: dict[Any, int] = {}
    kept: list[Tokens] = []
    at = np.empty(len(rows), dtype=np.int64)
    for index, row in enumerate(rows):
        at[index] = first.setdefault(row.key, len(kept))
        if at[index] == len(kept):
            kept.append(row)
    return kept, at


@dataclass(frozen=True)
class Running:
    """The forward passes of a model over batches of rows."""

    forward: Forward
    budget: TokenBudget
    pad: int | None
    vocabulary: int
    device: torch.device
    reads: Reads | None = None

    def all_batches(
        self, rows: Sequence[Tokens], sharing: Sharing | None
    ) -> Iterator[tuple[Array, torch.Tensor]]:
        """Yield the indices of each batch with its results: of the rows that share prompts first,
        then of the others."""
        left = np.ones(len(rows), bool)
        for band in () if sharing is None else plan_bands(rows, sharing, self.budget.tokens):
            assert sharing is not None
            try:
                prompts = sharing.run_prompts(rows, band, self.budget.tokens, self.device)
            except torch.OutOfMemoryError as error:
                self._halve(np.array([band.shared] * 2), error)
                continue
            left[band.rows] = False
            tails = [rows[index].after(band.shared) for index in band.rows]
            for part, result in self._batches(tails, band, prompts):
                yield band.rows[part], result
        rest = np.flatnonzero(left)
        for part, result in self._batches([rows[index] for index in rest.tolist()]):
            yield rest[part], result

    def _batches(
        self, rows: Sequence[Tokens], band: Band | None = None, prompts: Any = None
    ) -> Iterator[tuple[Array, torch.Tensor]]:
        """Yield the indices of each batch with its results. One that cannot be padded is cut in
        two; what does not fit into memory is planned anew, with half as many tokens."""
        lengths = np.array([len(row) for row in rows])
        waiting = deque(self._plan(lengths, band))
        while waiting:
            indices = waiting.popleft()
            try:
                chosen = [rows[index] for index in indices]
                batch = padded(chosen, self.pad, self.vocabulary, self.device, self.reads)
                if batch is None:
                    waiting.extendleft(reversed(np.array_split(indices, 2)))
                    continue
                if band is not None:
                    batch = behind_prompts(batch, prompts, band, indices)
                result = self.forward(batch)
            except torch.OutOfMemoryError as error:
                self._halve(lengths[indices], error)
                rest = np.concatenate([indices, *waiting])
                waiting = deque(rest[part] for part in self._plan(lengths[rest], band))
                continue
            yield indices, result

    def _plan(self, lengths: Array, band: Band | None) -> list[Array]:
        return plan(lengths, self.budget.tokens, 0 if band is None else band.shared)

    def _halve(self, lengths: Array, error: Exception) -> None:
        """Halve the budget after a batch of rows of some lengths that did not fit into memory; a
        single row is refused."""
        if len(lengths) == 1:
            raise DataError(
                f"one conversation of {lengths[0]} tokens does not fit into the memory of "
                f"{self.device}; lower max_length, or take a smaller dtype or another device"
            ) from error
        self.budget.halve(len(lengths) * int(lengths.max()))
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
