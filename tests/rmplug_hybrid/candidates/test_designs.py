"""Sets of pairs drawn by a seed, a budget and tilts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hybrid_data import case, made_up, matrix_of
from scipy import sparse
from scipy.stats import chisquare

from rmplug import DataError
from rmplug_hybrid import Candidates
from rmplug_hybrid.candidates._designs import (
    SetDraws,
    Subsets,
    count_labels,
    draw_budgets,
    make_spread_tilts,
    mark_smallest,
    repeat_budgets,
    sample_rows,
    spread_budgets,
)


def subsets(members, budgets, fill=False, tilts=None, seed=0):
    seeds = np.random.SeedSequence(seed).generate_state(len(budgets))
    return Subsets(sparse.csr_matrix(members), SetDraws(fill, seeds, np.asarray(budgets), tilts))


def fill_case():
    known = json.loads(case("05_knapsack/cases.json").read_text())
    ids = sorted({one for listed in known["items"].values() for one in listed})
    members = np.array([[one in listed for listed in known["items"].values()] for one in ids])
    return known["cases"], ids, members


def test_fill_takes_as_many_as_the_reference_does_whatever_the_budget():
    cases, ids, members = fill_case()
    capacities = [one["capacity"] for one in cases]
    sets = subsets(members, capacities, fill=True).read(0, len(capacities))
    assert sets.sum(axis=1).tolist() == [len(one["out"]) for one in cases]
    assert [one["out"] == [] or set(one["out"]) <= set(ids) for one in cases] == [True] * len(cases)


def test_fill_is_a_union_of_whole_features_and_part_of_one():
    _, _, members = fill_case()
    for row, chosen in enumerate(subsets(members, [4] * 60, fill=True).read(0, 60)):
        whole = [f for f in range(4) if not (members[:, f] & ~chosen).any()]
        rest = chosen & ~members[:, whole].any(axis=1)
        assert any((rest <= members[:, f]).all() for f in range(4)), f"set {row}"


def test_fill_starts_with_any_feature_equally_often():
    # with budgets of one label, the label is of the first feature that is not empty: f1, f2 or f4
    _, ids, members = fill_case()
    first = subsets(members, [1] * 6000, fill=True, seed=5).read(0, 6000).argmax(axis=1)
    found = np.bincount(first, minlength=len(ids))
    share = (members / np.maximum(members.sum(axis=0), 1)).sum(axis=1) / 3
    assert chisquare(found, 6000 * share).pvalue > 0.001


def test_pairs_without_any_feature_are_never_filled_in():
    members = np.array([[1, 0], [0, 1], [0, 0]], dtype=bool)
    assert subsets(members, [3] * 5, fill=True).read(0, 5).tolist() == [[True, True, False]] * 5


def test_a_set_is_the_same_whichever_others_are_drawn_with_it():
    members = matrix_of(made_up(300)).astype(bool)
    tilts = np.random.default_rng(0).normal(size=(40, 90)).astype(np.float32)
    for fill, tilt in ((True, None), (False, None), (False, tilts)):
        drawn = subsets(members, np.arange(1, 41) * 7, fill, tilt)
        together = drawn.read(0, 40)
        alone = np.concatenate([drawn.read(row, row + 1) for row in range(40)])
        assert np.array_equal(together, alone)


def test_uniform_sets_have_the_size_asked_for_and_every_pair_is_as_likely():
    sets = subsets(np.ones((20, 1)), [5] * 4000).read(0, 4000)
    assert (sets.sum(axis=1) == 5).all()
    assert chisquare(sets.sum(axis=0)).pvalue > 0.001


def test_a_tilt_makes_one_label_go_to_its_feature_at_the_odds_it_says():
    # 4 of 10 pairs have the feature; at weight 3 to 1 they get 12 of 18 single labels
    members = np.array([[1]] * 4 + [[0]] * 6)
    tilts = np.full((6000, 1), math.log(3), dtype=np.float32)
    hits = subsets(members, [1] * 6000, tilts=tilts).read(0, 6000)[:, :4].sum()
    assert abs(hits - 4000) < 4 * math.sqrt(6000 * (2 / 3) * (1 / 3))


def test_the_smallest_keys_are_taken_and_of_equal_ones_the_first():
    keys = np.array([2.0, 1.0, 2.0, 0.0, 2.0])
    assert mark_smallest(keys, 3).tolist() == [True, True, False, True, False]
    assert mark_smallest(keys, 0).tolist() == [False] * 5
    assert mark_smallest(keys, 9).tolist() == [True] * 5


def test_sampled_rows_are_as_many_as_asked_for_of_those_kept():
    kept = np.arange(100) % 3 > 0
    found = sample_rows(kept, 20, seed=4)
    assert found.sum() == 20
    assert (kept | ~found).all()
    assert sample_rows(kept, 80, seed=4) is kept


def test_even_budgets_are_all_different_and_reach_both_ends():
    rng = np.random.default_rng(0)
    assert sorted(spread_budgets(60, (0, 1), 60, rng)) == list(range(1, 61))
    assert sorted(spread_budgets(4, (0.5, 1), 100, rng)) == [57, 69, 82, 94]
    assert sorted(spread_budgets(5, (0, 1), 2, rng)) == [1, 1, 1, 2, 2]


def test_budgets_are_shares_or_whole_numbers_and_a_share_is_rounded_down():
    assert repeat_budgets(5, (0.25, 3, 1), 10).tolist() == [2, 3, 10, 2, 3]
    assert count_labels(0.7, 10) == 7


def test_a_budget_above_the_pairs_is_refused():
    with pytest.raises(DataError, match="a budget of 70 labels is more than the 60 pairs there ar"):
        count_labels(70, 60)


def test_random_budgets_are_different_and_refused_where_there_are_not_enough():
    rng = np.random.default_rng(0)
    assert sorted(draw_budgets(9, 9, rng)) == list(range(1, 10))
    with pytest.raises(DataError, match="3 pairs have no 4 different budgets; make fewer candidat"):
        draw_budgets(4, 3, rng)


def test_tilts_have_the_strength_asked_for_and_do_not_follow_the_budget():
    membership = made_up(2000)
    members = matrix_of(membership)
    rng = np.random.default_rng(1)
    budgets = rng.permutation(np.arange(1, 201) * 10)
    tilts = make_spread_tilts(sparse.csr_matrix(members), budgets, 2.0, rng)
    spread = (members @ tilts.T).std(axis=0)
    assert np.sqrt((spread**2).mean()) == pytest.approx(2.0, rel=0.01)
    varied = tilts[:, tilts.std(axis=0) > 0]
    assert np.abs([np.corrcoef(budgets, column)[0, 1] for column in varied.T]).max() < 1e-6


def condition_and_error(counts, size, members):
    """Of the counts apart from what size explains: their rank, the ratio of their largest to their
    smallest singular value where each has unit length, and the standard error of a pair's gain by
    least squares, in units of the noise of one candidate."""
    frame = np.column_stack([np.ones(len(size)), size])
    rest = counts - frame @ np.linalg.lstsq(frame, counts, rcond=None)[0]
    length = np.linalg.norm(rest, axis=0)
    known = length > 1e-6
    values = np.linalg.svd(rest[:, known] / length[known], compute_uv=False)
    rank = int((values > 1e-8 * values[0]).sum())
    _, raw, axes = np.linalg.svd(rest, full_matrices=False)
    gains = (members - members.mean(axis=0)) @ axes[:rank].T / raw[:rank]
    return rank, values[0] / values[rank - 1], np.sqrt((gains**2).sum(axis=1).mean())


def test_space_filling_candidates_tell_features_apart_better_than_the_others():
    membership = made_up(3000)
    members = matrix_of(membership)
    found = {}
    for design in ("fill", "uniform", "stratified", "space-filling"):
        table = Candidates(n=200, design=design).sample(membership, seed=1)
        counts = matrix_of(table, "count.")
        found[design] = condition_and_error(counts, np.asarray(table["size"]), members)
    rank, condition, error = found["space-filling"]
    assert rank == max(entry[0] for entry in found.values())
    assert condition < found["fill"][1] / 4
    assert error < found["fill"][2] / 2.5
    assert error < found["stratified"][2] / 2.5
    assert error < found["uniform"][2] / 4
