"""The plan by which rows that begin with the same tokens have these run once.

Rows are grouped into families by what they begin with, and families of like length into bands: all
prompts of a band are cut to the shortest of them, so that there is no padding between a prompt and
what follows it, and positions, windows and masks are those of rows without a cache. What is cut off
is run with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from rmplug.arrays import Array

from ._batch import Batch, cost_of, plan
from ._prompt_states import joined, selected
from ._reads import Reads
from ._tokenizing import Tokens

MOST_ROWS = 64
"""Rows of a family at most: of more, every 64 have their own run of the prompt."""
COST = 16
"""Tokens that a family must save at least: it goes through the model in two passes."""
CUT = 0.12
"""The part of what a band saves that may be lost by cutting its prompts to one length: few large
bands have less padding behind the prompts."""
HELD = 4
"""The prompts of a band have at most this many times the tokens of a forward pass: their keys and
values are in memory until the rows of the band have been run."""
WORTH = 0.9
"""Prompts are shared where that costs at most this part of running all rows whole."""


@dataclass(frozen=True)
class Family:
    """Rows, by their indices, that have the first ``shared`` tokens in common."""

    rows: Array
    shared: int


@dataclass(frozen=True)
class Band:
    """Families whose prompts are run at the length ``shared``."""

    families: Sequence[Family]
    shared: int

    @cached_property
    def rows(self) -> Array:
        """The indices of all rows, family by family."""
        return np.concatenate([family.rows for family in self.families])

    @cached_property
    def prompts(self) -> Array:
        """The place of each row's prompt among those of the band, in the order of ``rows``."""
        return np.repeat(np.arange(len(self.families)), [len(f.rows) for f in self.families])


@dataclass(frozen=True)
class Sharing:
    """The means by which a model shares what rows begin with: ``run`` gives the keys and values of
    prompts of one length, of shape (prompts, tokens), ``works`` tells whether it can, and ``reads``
    the tokens of a row whose own output is read: those before the first of them can be shared."""

    run: Callable[[torch.Tensor], Any]
    works: Callable[[], bool]
    reads: Reads

    def run_prompts(
        self, rows: Sequence[Tokens], band: Band, tokens: int, device: torch.device
    ) -> Any:
        """Run the prompts of a band, at most ``tokens`` at once (or one): their keys and values."""
        ids = np.stack([rows[family.rows[0]].ids[: band.shared] for family in band.families])
        parts = torch.from_numpy(ids).to(device).split(max(1, tokens // band.shared))
        return joined([self.run(part) for part in parts])


def behind_prompts(batch: Batch, prompts: Any, band: Band, indices: Array) -> Batch:
    """Put a batch of some rows of a band behind the prompts of these rows."""
    which = torch.from_numpy(band.prompts[indices]).to(batch.ids.device)
    return replace(batch, cache=selected(prompts, which), shared=band.shared)


def plan_bands(rows: Sequence[Tokens], sharing: Sharing, tokens: int) -> list[Band]:
    """Return the bands of rows whose prompts are worth running once; none where that does not save
    enough. ``tokens`` are the most of a forward pass; with one, each row is run by itself."""
    if len(rows) < 2 or tokens == 1:
        return []
    lengths = np.array([len(row) for row in rows])
    limits = np.array([0 if row.segments is not None else sharing.reads(row)[0] for row in rows])
    bands = list(_bands(find_families(rows, np.minimum(limits, lengths - 1)), HELD * tokens))
    left = np.ones(len(rows), bool)
    cost = 0
    for band in bands:
        prompts, tails = np.full(len(band.families), band.shared), lengths[band.rows] - band.shared
        cost += cost_of(plan(prompts, tokens), prompts, tokens)
        cost += cost_of(plan(tails, tokens, band.shared), tails, tokens)
        left[band.rows] = False
    cost += cost_of(plan(lengths[left], tokens), lengths[left], tokens)
    worth = bool(bands) and cost <= WORTH * cost_of(plan(lengths, tokens), lengths, tokens)
    return bands if worth and sharing.works() else []


def find_families(rows: Sequence[Tokens], limits: Array) -> list[Family]:
    """Return the families of rows that save most tokens together: consecutive rows in the order of
    their tokens, of which each but the first is run behind the tokens that all have in common."""
    keys = [row.ids.tobytes() for row in rows]
    order = np.array(sorted(range(len(rows)), key=keys.__getitem__))
    same = [
        _in_common(rows[one], rows[other], min(limits[one], limits[other]))
        for one, other in pairwise(order)
    ]
    begins = _best_cuts(same)
    families, end = [], len(order)
    while end > 0:
        first = begins[end]
        if end - first > 1:
            families.append(Family(order[first:end], min(same[first : end - 1])))
        end = first
    return families


def _in_common(one: Tokens, other: Tokens, most: int) -> int:
    """Count the tokens that two rows begin with alike, up to ``most``."""
    most = max(0, int(most))
    differs = one.ids[:most] != other.ids[:most]
    return int(differs.argmax()) if differs.any() else most


def _best_cuts(same: Sequence[int]) -> list[int]:
    """Return where the family that ends before each row begins, in the division of ordered rows
    that saves most; ``same`` are the tokens that each row has in common with the next."""
    count = len(same) + 1
    saves, begins = [0] * (count + 1), [0] * (count + 1)
    for end in range(1, count + 1):
        saves[end], begins[end] = saves[end - 1], end - 1
        least = None
        for first in range(end - 2, max(-1, end - 1 - MOST_ROWS), -1):
            least = same[first] if least is None else min(least, same[first])
            if least <= COST:
                break
            saved = saves[first] + (end - first - 1) * least - COST
            if saved > saves[end]:
                saves[end], begins[end] = saved, first
    return begins


def _bands(families: Sequence[Family], held: int) -> Iterator[Band]:
    """Put families into bands, those with the longest prompts first."""
    waiting: list[Family] = []
    others = saved = lost = 0
    for family in sorted(families, key=lambda family: (-family.shared, family.rows[0])):
        more = len(family.rows) - 1
        if waiting:
            lost += (waiting[-1].shared - family.shared) * others
            full = (len(waiting) + 1) * family.shared > held
            if full or lost > CUT * (saved + more * family.shared):
                yield Band(waiting, waiting[-1].shared)
                waiting, others, saved, lost = [], 0, 0, 0
        waiting.append(family)
        others += more
        saved += more * family.shared
    if waiting:
        yield Band(waiting, waiting[-1].shared)
