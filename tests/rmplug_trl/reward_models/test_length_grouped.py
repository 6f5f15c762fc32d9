"""The order of rows: every row once, little padding, the same for the same seed and epoch."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rmplug_trl.reward_models._sampling import LengthGrouped


@given(st.lists(st.integers(1, 600), max_size=300), st.integers(1, 16), st.integers(0, 2**31))
def test_every_row_comes_once(lengths: list[int], batch: int, seed: int) -> None:
    assert sorted(LengthGrouped(lengths, batch, seed)) == list(range(len(lengths)))


def padding(order: list[int], lengths: np.ndarray, batch: int) -> float:
    run = useful = 0
    for first in range(0, len(order), batch):
        part = lengths[order[first : first + batch]]
        run += int(part.max()) * len(part)
        useful += int(part.sum())
    return 1 - useful / run


def test_batches_have_little_padding_and_no_order_of_their_own() -> None:
    draw = np.random.default_rng(0)
    lengths = draw.lognormal(5, 0.7, size=2000).astype(int) + 1
    order = list(LengthGrouped(lengths.tolist(), 8, 1))
    assert padding(order, lengths, 8) < padding(draw.permutation(2000).tolist(), lengths, 8) / 5
    longest = [int(lengths[order[n : n + 8]].max()) for n in range(0, 2000, 8)]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.2


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    lengths = list(range(1, 101))
    one, same = LengthGrouped(lengths, 4, 3), LengthGrouped(lengths, 4, 3)
    list(one)
    assert list(one) == list(same)
    one.set_epoch(1)
    assert list(one) != list(same)
    same.set_epoch(1)
    assert list(one) == list(same)
    assert list(LengthGrouped(lengths, 4, 4)) != list(LengthGrouped(lengths, 4, 3))
