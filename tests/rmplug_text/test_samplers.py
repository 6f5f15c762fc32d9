"""Which rows samplers take, and what pairs and responses become."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rmplug import DataError, Features, Known, Pairs, Responses, Selection
from rmplug.notices import collect_notices
from rmplug_text._sampling import proportional
from rmplug_text.samplers import Balanced, Filter, Random, Split, Stratified, ToPairs, ToResponses


def pairs(rows=100, groups=40):
    ids = [f"p{place}" for place in range(rows)]
    return Pairs(
        {
            "id": ids,
            "group": [f"g{place % groups}" for place in range(rows)],
            "prompt": [f"prompt {place % groups}" for place in range(rows)],
            "chosen": ["long " * (place % 4) for place in range(rows)],
            "rejected": ["one two"] * rows,
            "subset": [
                "a" if place % 10 < 6 else "b" if place % 10 < 9 else None for place in range(rows)
            ],
            "extra": list(range(rows)),
        },
        "pairs",
    )


def responses(**columns):
    size = len(columns["prompt"])
    given = {"id": [f"r{place}" for place in range(size)], "response": ["text"] * size}
    return Responses({**given, **columns}, "answers")


def ids(data):
    return data.table["id"].to_pylist()


def counts(data, column="subset"):
    return Counter(data.table[column].to_pylist())


EVERY = [
    Random(n=30),
    Random(fraction=0.3),
    Stratified(n=30),
    Stratified(each=4),
    Balanced(by="subset"),
    Balanced(length="words"),
    Balanced(by="subset", length="words"),
]


@pytest.mark.parametrize("step", EVERY)
def test_rows_keep_order_type_and_columns_and_follow_the_seed(step):
    data = pairs()
    sample = step.sample(data, seed=1)
    places = [int(name[1:]) for name in ids(sample)]
    assert isinstance(sample, Pairs)
    assert places == sorted(set(places))
    assert sample.table.equals(data.table.take(pa.array(places)))
    assert ids(step.sample(data, seed=1)) == ids(sample)
    assert ids(step.sample(data, seed=2)) != ids(sample)


@pytest.mark.parametrize("step", EVERY)
@pytest.mark.parametrize("rows", [0, 1])
def test_no_rows_and_one_row_survive(step, rows):
    assert len(step.sample(pairs().take(np.arange(rows)), seed=0)) <= rows


def test_random_takes_so_many_or_such_a_share_or_all_there_are():
    assert len(Random(n=30).sample(pairs(), seed=0)) == 30
    assert len(Random(fraction=0.25).sample(pairs(), seed=0)) == 25
    assert ids(Random(n=500).sample(pairs(), seed=0)) == ids(pairs())


def test_random_is_uniform():
    taken = Counter(
        name for seed in range(400) for name in ids(Random(n=3).sample(pairs(6), seed=seed))
    )
    assert all(150 < taken[f"p{place}"] < 250 for place in range(6))


@pytest.mark.parametrize("wrong", [{}, {"n": 3, "fraction": 0.5}])
def test_random_needs_one_size(wrong):
    with pytest.raises(ValidationError, match="give exactly one of n, fraction; given: "):
        Random(**wrong)


def test_stratified_keeps_proportions_and_an_exact_total():
    assert counts(Stratified(n=31).sample(pairs(), seed=0)) == {"a": 19, "b": 9, None: 3}
    assert counts(Stratified(fraction=0.5).sample(pairs(), seed=0)) == {"a": 30, "b": 15, None: 5}
    assert counts(Stratified(each=12).sample(pairs(), seed=0)) == {"a": 12, "b": 12, None: 10}


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.floats(0, 1))
def test_largest_remainders_add_up_and_stay_within_one_row(sizes, fraction):
    total = round(fraction * sum(sizes))
    shares = proportional(np.array(sizes), total)
    assert shares.sum() == total
    for share, size in zip(shares, sizes, strict=True):
        assert share <= size
        assert abs(share - size * total / max(sum(sizes), 1)) < 1


def test_a_missing_column_is_named_with_those_there_are():
    with pytest.raises(DataError, match="pairs has no column 'topic'; there are id, group, prompt"):
        Stratified(by="topic", n=3).sample(pairs(), seed=0)


def test_balanced_takes_as_many_of_each_as_the_rarest_has():
    assert counts(Balanced(by="subset").sample(pairs(), seed=0)) == {"a": 10, "b": 10, None: 10}
    capped = Balanced(by="subset", each=4).sample(pairs(), seed=0)
    assert counts(capped) == {"a": 4, "b": 4, None: 4}


def test_balanced_takes_equally_many_of_each_value_of_a_feature():
    level = [float(place % 10 > 6) + (place % 10 > 8) for place in range(100)]
    bins = Features(
        {"id": [f"p{place}" for place in range(99, -1, -1)], "words": level[::-1]}, "cut"
    )
    sample = Balanced(by="cut.words").sample(pairs(), [bins], seed=0)
    assert Counter(level[int(name[1:])] for name in ids(sample)) == {0.0: 10, 1.0: 10, 2.0: 10}
    known = {"data": [Known((Pairs,), ["subset"], step="pairs")]}
    known["features"] = [Known((Features,), ["words"], step="cut")]
    assert list(Balanced(by="cut.words").mistakes(known)) == []
    [(where, message)] = Balanced(by="cut.wrods").mistakes(known)
    assert where == "by" and message.startswith("cut gives no column 'wrods'; did you mean 'words'")


def test_balanced_by_length_makes_longer_and_shorter_choices_equally_many():
    lengths = Counter(place % 4 - 2 for place in range(100))
    assert lengths == {-2: 25, -1: 25, 0: 25, 1: 25}
    sample = Balanced(length="words").sample(pairs(), seed=0)
    words = [place % 4 - 2 for place in sample.table["extra"].to_pylist()]
    assert Counter(np.sign(words).tolist()) == {-1: 25, 0: 25, 1: 25}


def test_balanced_by_length_within_a_column():
    sample = Balanced(by="subset", length="words").sample(pairs(), seed=0)
    signs = Counter(
        (subset, int(np.sign(place % 4 - 2)))
        for subset, place in zip(
            *sample.table.select(["subset", "extra"]).to_pydict().values(), strict=True
        )
    )
    for subset in ("a", "b", None):
        assert signs[subset, -1] == signs[subset, 1]


def test_balanced_by_length_needs_pairs():
    with pytest.raises(DataError, match="balanced by length needs pairs; convert responses with"):
        Balanced(length="words").sample(responses(prompt=["x"]), seed=0)


def test_balanced_needs_something_to_balance():
    with pytest.raises(ValidationError, match=r"give by \(a column, such as subset\), length"):
        Balanced()


def test_filter_keeps_what_is_true_and_counts_what_it_drops():
    with collect_notices() as notices:
        kept = Filter(where="extra < 3 or subset is null").sample(pairs(12))
    assert ids(kept) == ["p0", "p1", "p2", "p9"]
    [notice] = notices.values()
    assert (notice.what, notice.action, notice.count) == (
        "not where extra < 3 or subset is null",
        "dropped",
        8,
    )


def test_filter_sees_features_of_the_same_rows_in_any_order():
    reward = Features({"id": ["p2", "p0", "p1"], "margin": [2.0, 0.0, -1.0]}, "reward")
    assert ids(Filter(where="reward.margin > extra - 1").sample(pairs(3), [reward])) == ["p0", "p2"]


def test_filter_names_rows_that_features_do_not_have():
    reward = Features({"id": ["p0"], "margin": [2.0]}, "reward")
    with pytest.raises(
        DataError, match=r"reward has no row for 2 of 3 ids \(p1, p2\); give features"
    ):
        Filter(where="reward.margin > 0").sample(pairs(3), [reward])


def test_filter_keeps_a_selection():
    chosen = Selection({"id": ["p7", "p1", "gone"]})
    assert ids(Filter().sample(pairs(10), selection=chosen)) == ["p1", "p7"]
    assert ids(Filter(where="extra > 1").sample(pairs(10), selection=chosen)) == ["p7"]


def test_filter_needs_something_to_keep_by():
    with pytest.raises(DataError, match="filter has nothing to keep by: give where, or the input"):
        Filter().sample(pairs(3))


def test_an_expression_that_cannot_be_read_is_refused_before_running():
    with pytest.raises(ValidationError, match="where, at position 3: '=' has no meaning here"):
        Filter(where="n = 3")


def test_the_parts_of_a_split_share_no_group_and_miss_no_row():
    train, test = (Split(part=part).sample(pairs()) for part in ("train", "test"))
    assert sorted(ids(train) + ids(test)) == sorted(ids(pairs()))
    assert not set(counts(train, "group")) & set(counts(test, "group"))
    assert len(counts(test, "group")) == 8


def test_a_split_does_not_depend_on_the_order_of_rows():
    data = pairs()
    turned = data.take(np.random.default_rng(0).permutation(100))
    step = Split(part="test", by="subset")
    assert sorted(ids(step.sample(turned))) == sorted(ids(step.sample(data)))


def test_another_seed_is_another_split():
    assert ids(Split(seed=1).sample(pairs())) != ids(Split(seed=2).sample(pairs()))


def test_folds_are_disjoint_and_cover_everything():
    parts = [Split(part="test", folds=3, fold=fold).sample(pairs()) for fold in range(3)]
    assert sorted(name for part in parts for name in ids(part)) == sorted(ids(pairs()))
    assert sorted(len(counts(part, "group")) for part in parts) == [13, 13, 14]
    rest = Split(part="train", folds=3, fold=1).sample(pairs())
    assert set(ids(rest)) == set(ids(pairs())) - set(ids(parts[1]))


@settings(deadline=None)
@given(st.integers(2, 200), st.floats(0.05, 0.95), st.integers(0, 5))
def test_strata_keep_their_share_in_both_parts(groups, share, seed):
    data = pairs(groups, groups)
    test = Split(part="test", test=share, by="subset", seed=seed).sample(data)
    assert abs(len(test) - groups * share) <= 0.5 + 1e-9
    for subset, size in counts(data).items():
        assert abs(counts(test)[subset] - size * share) < 1 + 1e-9


def test_a_fold_must_be_one_of_the_folds():
    with pytest.raises(
        ValidationError, match="fold 3 needs folds of at least 4; folds count from 0"
    ):
        Split(folds=3, fold=3)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_split_of_next_to_nothing_survives(rows):
    data = pairs().take(np.arange(rows))
    assert (
        sum(len(Split(part=part, by="subset").sample(data)) for part in ("train", "test")) == rows
    )


def made(step, data, scores=None):
    result = step.sample(data, scores).table
    return dict(zip(result["id"].to_pylist(), result["margin"].to_pylist(), strict=True))


RATED = {
    "prompt": ["x", "x", "x", "y", "y", "z"],
    "ratings.help": [1.0, 4.0, 2.0, 3.0, 3.0, 5.0],
    "ratings.safe": [3.0, None, 2.0, 3.0, 3.0, 5.0],
    "rank": [2, 1, 3, 1, 2, 1],
    "label": [False, True, None, True, False, True],
}


def test_the_best_is_paired_with_the_worst_by_one_rating():
    assert made(ToPairs(by="ratings.help"), responses(**RATED)) == {"r1>r0": 3}


def test_the_mean_of_ratings_passes_over_missing_ones():
    assert made(ToPairs(by="ratings"), responses(**RATED)) == {"r1>r2": 2}


def test_all_pairs_above_a_gap():
    step = ToPairs(by="ratings.help", pairs="all")
    assert made(step, responses(**RATED)) == {"r1>r2": 2, "r1>r0": 3, "r2>r0": 1}
    assert made(ToPairs(by="ratings.help", pairs="all", gap=2), responses(**RATED)) == {
        "r1>r2": 2,
        "r1>r0": 3,
    }


def test_the_lowest_rank_is_best_and_best_can_be_turned():
    assert made(ToPairs(by="rank"), responses(**RATED)) == {"r1>r2": 2, "r3>r4": 1}
    turned = made(ToPairs(by="rank", best="highest"), responses(**RATED))
    assert turned == {"r2>r1": 2, "r4>r3": 1}


def test_what_makes_no_pair_is_counted():
    with collect_notices() as notices:
        ToPairs(by="label", gap=0).sample(responses(**RATED))
        ToPairs(by="ratings.help", pairs="all", gap=2).sample(responses(**RATED))
    found = {what: notice.ids for (what, _), notice in notices.items()}
    assert found == {
        "no score to compare by": ["r2"],
        "the only response to its prompt": ["r5", "r5"],
        "tie": ["r3>r4"],
        "gap below 2": ["r2>r0"],
    }


def test_responses_to_different_prompts_of_one_group_are_never_paired():
    data = responses(prompt=["x", "y"], group=["g", "g"], label=[1, 0])
    assert made(ToPairs(by="label"), data) == {}


def test_scores_of_a_model_make_pairs():
    scores = Features({"id": ["r1", "r0"], "reward": [0.5, 2.0]}, "rm")
    assert made(ToPairs(), responses(prompt=["x", "x"]), scores) == {"r0>r1": 1.5}


@pytest.mark.parametrize("both", [True, False])
def test_to_pairs_needs_exactly_one_thing_to_compare_by(both):
    scores = Features({"id": ["r0"], "reward": [0.5]}, "rm")
    step, given_scores = (ToPairs(by="label"), scores) if both else (ToPairs(), None)
    with pytest.raises(DataError, match="to-pairs compares by one thing: give by"):
        step.sample(responses(prompt=["x"], label=[1]), given_scores)


def test_text_cannot_be_compared_by():
    with pytest.raises(DataError, match="column 'id' is string; responses are compared by numbers"):
        ToPairs(by="id").sample(responses(prompt=["x"]))


def test_ratings_that_are_not_there_are_said_so():
    with pytest.raises(DataError, match=r"answers have no columns ratings.<name>; set by"):
        ToPairs(by="ratings").sample(responses(prompt=["x"]))


def test_pairs_keep_group_subset_and_what_each_response_had():
    data = responses(**RATED, subset=["s"] * 6, model=list("abcdef"))
    [row] = ToPairs(by="ratings.help").sample(data).table.to_pylist()
    assert row["subset"] == "s"
    assert row["group"] == data.table["group"][0].as_py()
    assert (row["ratings.chosen.help"], row["ratings.rejected.help"]) == (4, 1)
    assert (row["model.chosen"], row["model.rejected"]) == ("b", "a")
    assert row["chosen"] == [{"role": "assistant", "content": "text"}]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 3)), max_size=12))
def test_all_pairs_are_those_of_two_loops(rows):
    data = responses(
        prompt=[row[0] for row in rows] or pa.array([], pa.string()),
        label=pa.array([row[1] for row in rows], pa.int64()),
    )
    expected = {
        f"r{i}>r{j}": one[1] - other[1]
        for i, one in enumerate(rows)
        for j, other in enumerate(rows)
        if one[0] == other[0] and one[1] > other[1]
    }
    assert made(ToPairs(by="label", pairs="all"), data) == expected


def test_each_pair_becomes_two_responses():
    data = Pairs(
        {
            "id": ["p", "q"],
            "prompt": ["x", "y"],
            "chosen": ["good", "fine"],
            "rejected": ["bad", "poor"],
            "subset": ["s", "t"],
            "ratings.chosen.help": [5, 4],
            "ratings.rejected.help": [1.5, None],
            "ratings.chosen.safe": [1, 1],
            "model.chosen": ["m", "n"],
            "model.rejected": ["o", "p"],
        }
    )
    table = ToResponses().sample(data).table
    assert table["id"].to_pylist() == ["p/chosen", "p/rejected", "q/chosen", "q/rejected"]
    assert table["label"].to_pylist() == [1, 0, 1, 0]
    assert table["ratings.help"].to_pylist() == [5, 1.5, 4, None]
    assert table["ratings.safe"].to_pylist() == [1, None, 1, None]
    assert table["model"].to_pylist() == ["m", "o", "n", "p"]
    assert table["subset"].to_pylist() == ["s", "s", "t", "t"]
    assert [turns[0]["content"] for turns in table["response"].to_pylist()] == [
        *("good", "bad", "fine", "poor")
    ]


def test_pairs_come_back_from_their_responses():
    back = ToPairs(by="label").sample(ToResponses().sample(pairs(6, 6)))
    assert ids(back) == [f"p{place}/chosen>p{place}/rejected" for place in range(6)]
    assert back.table["chosen"].equals(pairs(6, 6).table["chosen"])


def test_converting_no_rows_gives_no_rows():
    empty = ToResponses().sample(pairs().take(np.zeros(0, int)))
    assert len(empty) == 0
    assert len(ToPairs(by="label").sample(empty)) == 0
