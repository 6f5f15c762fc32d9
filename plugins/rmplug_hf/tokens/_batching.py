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

from ._budget import TokenBudget
from ._tokenizing import Tokens


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right to the longest of them, on the device of the model.

    ``ids`` and ``mask`` have the shape (rows, longest); ``segments`` too, or is None. ``lengths``,
    ``starts`` and ``ends`` (of the response) have the shape (rows,). ``pad`` is the id that pads.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    segments: torch.Tensor | None
    lengths: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor
    pad: int

    def arguments(self) -> dict[str, torch.Tensor]:
        """Return the arguments of a model's ``forward``. Padding is right: positions count from the
        left."""
        arguments = {"input_ids": self.ids, "attention_mask": self.mask}
        return (
            arguments if self.segments is None else {**arguments, "token_type_ids": self.segments}
        )


Forward: TypeAlias = Callable[[Batch], torch.Tensor]


def run_batches(
    rows: Sequence[Tokens],
    forward: Forward,
    *,
    budget: TokenBudget,
    pad: int | None,
    vocabulary: int,
    device: torch.device,
) -> Array:
    """Run ``forward`` on every row: an array of shape (rows, …), in float32 (float64 is kept).

    ``forward`` gives one entry per row of its batch, and depends on nothing but that row: rows with
    the same tokens, segments and bounds go through it once. Rows of like length go together, at
    most the tokens of ``budget`` with padding at once. ``pad`` is the model's pad token; without
    one (``None``) an id below ``vocabulary`` is taken that none of the batch's rows contains, so
    that a model that looks for the last token that is no padding finds the last of the row.
    """
    rows, at = distinct(rows)
    if not rows:
        raise DataError("there are no rows to run the model on")
    results: Array | None = None
    lengths = np.array([len(row) for row in rows])
    with torch.inference_mode():
        for indices, result in _batches(rows, lengths, forward, budget, pad, vocabulary, device):
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


def plan(lengths: Sequence[int] | Array, batch_tokens: int) -> Iterator[Array]:
    """Yield indices of rows, longest first (a lack of memory shows at once), cut so that rows times
    the longest stays within ``batch_tokens``."""
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    first = 0
    while first < len(order):
        rows = max(1, batch_tokens // max(1, int(lengths[order[first]])))
        yield order[first : first + rows]
        first += rows


def _batches(
    rows: Sequence[Tokens],
    lengths: Array,
    forward: Forward,
    budget: TokenBudget,
    pad: int | None,
    vocabulary: int,
    device: torch.device,
) -> Iterator[tuple[Array, torch.Tensor]]:
    """Yield the indices of each batch with its results. One that cannot be padded is cut in two;
    what does not fit into memory is planned anew, with half as many tokens."""
    waiting = deque(plan(lengths, budget.tokens))
    while waiting:
        indices = waiting.popleft()
        try:
            batch = padded([rows[index] for index in indices], pad, vocabulary, device)
            if batch is None:
                waiting.extendleft(reversed(np.array_split(indices, 2)))
                continue
            result = forward(batch)
        except torch.OutOfMemoryError as error:
            _halve(budget, lengths[indices], device, error)
            rest = np.concatenate([indices, *waiting])
            waiting = deque(rest[part] for part in plan(lengths[rest], budget.tokens))
            continue
        yield indices, result


def _halve(budget: TokenBudget, lengths: Array, device: torch.device, error: Exception) -> None:
    """Halve the budget after a batch of rows of some lengths that did not fit into memory; a single
    row is refused."""
    if len(lengths) == 1:
        raise DataError(
            f"one conversation of {lengths[0]} tokens does not fit into the memory of {device}; "
            "lower max_length, or take a smaller dtype or another device"
        ) from error
    budget.halve(len(lengths) * int(lengths.max()))
    if device.type == "cuda":
        torch.cuda.empty_cache()


def padded(
    rows: Sequence[Tokens], pad: int | None, vocabulary: int, device: torch.device
) -> Batch | None:
    """Pad rows to one batch; None where they need padding and no id is free for it."""
    lengths = np.array([len(row) for row in rows])
    longest = int(lengths.max())
    here = np.arange(longest) < lengths[:, None]
    flat = np.concatenate([row.ids for row in rows])
    if pad is None:
        pad = -1 if here.all() else absent_id(flat, vocabulary)
    if pad is None:
        return None
    ids = np.full((len(rows), longest), pad, dtype=np.int64)
    ids[here] = flat
    segments = None
    if any(row.segments is not None for row in rows):
        segments = np.zeros_like(ids)
        segments[here] = np.concatenate(
            [np.zeros(len(r), np.int64) if r.segments is None else r.segments for r in rows]
        )
    return Batch(
        torch.from_numpy(ids).to(device),
        torch.from_numpy(here.astype(np.int64)).to(device),
        None if segments is None else torch.from_numpy(segments).to(device),
        torch.from_numpy(lengths).to(device),
        torch.tensor([row.start for row in rows], device=device),
        torch.tensor([row.end for row in rows], device=device),
        pad,
    )


def absent_id(ids: Array, vocabulary: int) -> int | None:
    """Return the highest id below ``vocabulary`` that is not among ``ids``, if there is one."""
    used = np.zeros(vocabulary, dtype=bool)
    used[ids] = True
    free = np.flatnonzero(~used)
    return int(free[-1]) if len(free) else None
