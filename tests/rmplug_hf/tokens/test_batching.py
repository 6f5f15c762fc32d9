from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rmplug import DataError
from rmplug.notices import collect_notices
from rmplug_hf.tokens._batch import absent_id, cost_of, padded, plan
from rmplug_hf.tokens._batching import distinct, run_batches
from rmplug_hf.tokens._budget import HALVED, TokenBudget
from rmplug_hf.tokens._tokenizing import Tokens

CPU = torch.device("cpu")


def rows(*lengths, first=0):
    return [Tokens(np.arange(first, first + length), 0, length) for length in lengths]


def run(given_rows, forward, batch_tokens=64, pad=0, vocabulary=100, budget=None):
    return run_batches(
        given_rows,
        forward,
        budget=budget or TokenBudget(batch_tokens),
        pad=pad,
        vocabulary=vocabulary,
        device=CPU,
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 120))
def test_batches_take_every_row_once_and_stay_within_the_budget(lengths, budget):
    batches = list(plan(lengths, budget))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget


def test_the_longest_rows_come_first_and_those_of_unlike_lengths_go_apart():
    lengths = [100, 310, 20, 300, 95]
    # 900 tokens fit into a batch, and a pass costs as much as 28
    assert [batch.tolist() for batch in plan(lengths, 900)] == [[1, 3], [0, 4], [2]]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=7), st.integers(1, 200))
def test_no_other_cuts_cost_less(lengths, budget):
    lengths = np.array(lengths)
    order = np.argsort(-lengths, kind="stable")
    costs = []
    for cuts in product([False, True], repeat=len(order) - 1):
        batches = np.split(order, np.flatnonzero(cuts) + 1)
        if all(len(b) == 1 or len(b) * lengths[b].max() <= budget for b in batches):
            costs.append(cost_of(batches, lengths, budget))
    assert cost_of(plan(lengths, budget), lengths, budget) == min(costs)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(1, 60))
def test_results_come_back_in_the_order_of_the_rows(lengths, budget):
    found = run(
        rows(*lengths), lambda batch: (batch.ids * batch.mask).sum(1).float(), batch_tokens=budget
    )
    assert found.tolist() == [sum(range(length)) for length in lengths]


def test_identical_rows_go_through_the_model_once_and_all_get_the_result():
    seen = []

    def forward(batch):
        seen.extend(batch.lengths.tolist())
        return torch.stack([batch.lengths, batch.starts, batch.ends], dim=1).float()

    ids, zeros, segments = np.arange(3), np.array([0, 0, 0]), np.array([0, 0, 1])
    given_rows = [
        Tokens(ids, 0, 3), Tokens(ids, 1, 3), Tokens(ids.copy(), 0, 3), Tokens(ids, 0, 2),
        Tokens(ids, 0, 3, segments), Tokens(ids + 1, 0, 3), Tokens(ids, 1, 3),
        Tokens(ids, 0, 3, segments), Tokens(ids, 0, 3, zeros),
    ]  # fmt: skip
    found = run(given_rows, forward)
    assert len(seen) == 6
    assert found.tolist() == [[3, row.start, row.end] for row in given_rows]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_distinct_rows_are_those_that_were_given(numbers):
    given_rows = [Tokens(np.array([number]), 0, 1) for number in numbers]
    kept, at = distinct(given_rows)
    assert [int(kept[place].ids[0]) for place in at] == numbers
    assert len(kept) == len(set(numbers))


def test_padding_is_on_the_right_and_masked():
    batch = padded(rows(2, 4, first=5), 0, 100, CPU)
    assert batch.ids.tolist() == [[5, 6, 0, 0], [5, 6, 7, 8]]
    assert batch.mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch.lengths.tolist() == [2, 4]
    assert set(batch.arguments()) == {"input_ids", "attention_mask"}


def test_segments_of_rows_without_any_are_zero():
    one = Tokens(np.array([4, 5]), 1, 2, np.array([0, 1]))
    batch = padded([one, *rows(3)], 0, 100, CPU)
    assert batch.arguments()["token_type_ids"].tolist() == [[0, 1, 0], [0, 0, 0]]


def test_without_a_pad_token_an_id_is_taken_that_no_row_has():
    assert absent_id(np.array([9, 7, 3]), 10) == 8
    assert padded(rows(2, 3), None, 10, CPU).ids.tolist() == [[0, 1, 9], [0, 1, 2]]
    assert padded(rows(3, 3), None, 3, CPU).pad == -1


def test_a_batch_that_uses_every_token_and_cannot_be_padded_is_split():
    sizes = []

    def forward(batch):
        sizes.append(len(batch.ids))
        return batch.lengths.float()

    other = Tokens(np.array([3, 2, 1, 0]), 0, 4)
    given_rows = [*rows(2, 4), other]
    assert run(given_rows, forward, pad=None, vocabulary=4).tolist() == [2, 4, 4]
    assert sizes == [2, 1]


def test_after_a_batch_that_does_not_fit_into_memory_all_are_half_as_large_and_it_is_said():
    sizes = []

    def forward(batch):
        sizes.append(batch.ids.numel())
        if batch.ids.numel() > 12:
            raise torch.OutOfMemoryError("too much")
        return batch.lengths.float()

    budget, lengths = TokenBudget(320), [3, 1, 2, 5, 4, 5]
    with collect_notices() as notices:
        assert run(rows(*lengths), forward, budget=budget).tolist() == lengths
    assert sizes == [25, 5, 8, 4]  # five distinct rows; then 12 tokens at once
    assert budget.tokens == 12
    [told] = notices.values()
    assert (told.what, told.ids, told.of) == (HALVED, ["25 tokens"], "forward passes")
    sizes.clear()
    assert run(rows(6, 7), forward, budget=budget).tolist() == [6, 7]
    assert sizes == [7, 6]


def test_one_row_that_does_not_fit_into_memory_is_refused():
    def forward(batch):
        raise torch.OutOfMemoryError("too much")

    with pytest.raises(DataError) as caught:
        run(rows(7), forward)
    assert str(caught.value) == (
        "one conversation of 7 tokens does not fit into the memory of cpu; lower max_length, or "
        "take a smaller dtype or another device"
    )


def test_half_precision_comes_back_as_float32():
    found = run(rows(1, 2), lambda batch: batch.lengths.to(torch.bfloat16).unsqueeze(1))
    assert found.dtype == np.float32
    assert found.tolist() == [[1], [2]]
