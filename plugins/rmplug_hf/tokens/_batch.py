"""Rows as a padded batch, and the division of rows into batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rmplug.arrays import Array

from ._reads import Reads, read_of
from ._tokenizing import Tokens

PASS = 32
"""A forward pass takes the time of this part of a full one whatever its size: of 2,048 tokens, as
long as 50 tokens more (4 layers, 256 to 1,024 wide, on a CPU)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right to the longest of them, on the device of the model.

    ``ids`` and ``mask`` have the shape (rows, longest); ``segments`` too, or is None. ``lengths``,
    ``starts`` and ``ends`` (of the response) have the shape (rows,). ``pad`` is the id that pads.
    ``reads`` has the indices of the tokens whose own output is read, as ``read_of`` gives them;
    None for all.

    With ``cache``, the keys and values of ``shared`` tokens that stand before each row, all of this
    is said of the tokens behind those.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    segments: torch.Tensor | None
    lengths: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor
    pad: int
    reads: torch.Tensor | None = None
    cache: Any = None
    shared: int = 0

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a model's ``forward``. Padding is right: positions count from the
        left."""
        arguments: dict[str, Any] = {"input_ids": self.ids, "attention_mask": self.mask}
        if self.cache is not None:
            before = self.mask.new_ones(len(self.mask), self.shared)
            whole = torch.cat([before, self.mask], dim=1)
            arguments |= {"attention_mask": whole, "past_key_values": self.cache}
            # asked for here, since the loaded configuration has it off
            arguments["use_cache"] = True
        if self.segments is not None:
            arguments["token_type_ids"] = self.segments
        return arguments


def plan(lengths: Sequence[int] | Array, batch_tokens: int, shared: int = 0) -> list[Array]:
    """Return batches as indices of rows, longest first (a lack of memory shows at once), of which
    rows times the longest stays within ``batch_tokens``; a longer row goes alone. They are cut
    where padding and forward passes cost least together, which among few rows of unlike lengths is
    before a batch is full. Of ``shared`` tokens before each row, whose keys and values are copied,
    an eighth counts against ``batch_tokens``."""
    lengths = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    least, begins = np.full(len(order) + 1, np.inf), np.zeros(len(order) + 1, dtype=np.int64)
    least[0], one_pass = 0, pass_cost(batch_tokens)
    for first, longest in enumerate(lengths[order].tolist()):
        rows = min(len(order) - first, max(1, batch_tokens // max(1, longest + shared // 8)))
        costs = least[first] + one_pass + longest * np.arange(1, rows + 1)
        better = first + 1 + np.flatnonzero(costs < least[first + 1 : first + 1 + rows])
        least[better], begins[better] = costs[better - first - 1], first
    batches, end = [], len(order)
    while end > 0:
        batches.append(order[begins[end] : end])
        end = int(begins[end])
    return batches[::-1]


def cost_of(batches: Iterable[Array], lengths: Array, batch_tokens: int) -> int:
    """Return the cost of batches in token positions: padding counts, and so does each pass."""
    return sum(pass_cost(batch_tokens) + len(b) * int(lengths[b].max()) for b in batches)


def pass_cost(batch_tokens: int) -> int:
    """Return what a forward pass costs beside its tokens, in token positions."""
    return max(1, batch_tokens // PASS)


def padded(
    rows: Sequence[Tokens],
    pad: int | None,
    vocabulary: int,
    device: torch.device,
    reads: Reads | None = None,
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
        None if reads is None else torch.from_numpy(read_of(rows, reads)).to(device),
    )


def absent_id(ids: Array, vocabulary: int) -> int | None:
    """Return the highest id below ``vocabulary`` that is not among ``ids``, if there is one."""
    used = np.zeros(vocabulary, dtype=bool)
    used[ids] = True
    free = np.flatnonzero(~used)
    return int(free[-1]) if len(free) else None
