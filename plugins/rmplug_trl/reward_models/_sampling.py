"""The order of the rows of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

MEGA = 50
"""Batches among which rows are sorted by length: many for little padding, few for chance."""


class LengthGrouped(Sampler):  # type: ignore[misc]
    """Rows in a random order in which those of like length share a batch, and batches of any length
    follow each other. It depends on the seed and the epoch alone, so that an interrupted training
    goes on in the same order."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch = batch
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; called by the library before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        draw = np.random.default_rng((self.seed, self.epoch))
        order = draw.permutation(len(self.lengths))
        size = MEGA * self.batch
        sorted_parts = [
            part[np.argsort(-self.lengths[part], kind="stable")]
            for part in np.split(order, range(size, len(order), size))
        ]
        whole = np.concatenate(sorted_parts) if len(order) else order
        batches = np.split(whole, range(self.batch, len(whole), self.batch))
        last = [batches.pop()] if len(whole) % self.batch else []  # a short batch must stay last
        shuffled = [batches[index] for index in draw.permutation(len(batches))] + last
        return iter(int(row) for batch in shuffled for row in batch)
