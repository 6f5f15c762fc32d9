"""Which rows are chosen for labelling, and in which order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from rmplug import DataError, Features, Known, Pairs, Selection
from rmplug.notices import collect_notices
from rmplug.testing import check_step, small_features, small_pairs
from rmplug_text._k_centre import k_centre
from rmplug_text.labelling import Diverse, Uncertain

ROWS = 60


def pairs(rows=ROWS):
    ids = [f"p{row}" for row in range(rows)]
    groups = [f"g{row // 3}" for row in range(rows)]
    texts = {"prompt": groups, "chosen": ["yes"] * rows, "rejected": ["no"] * rows}
    return Pairs({"id": ids, "group": groups, **texts}, "pool")


def features(rows=ROWS, name="reward", **columns):
    return Features({"id": [f"p{row}" for row in range(rows)], **columns}, name)


def normal(seed=0, shape=ROWS):
    return np.random.default_rng(seed).normal(size=shape)


def ids(selection):
    return selection.table["id"].to_pylist()


def ranked(values):
    return [f"p{row}" for row in np.argsort(values)]


def test_the_smallest_margins_are_chosen_first():
    margin = normal()
    chosen = Uncertain(n=7).sample(pairs(), features(margin=margin, chosen=-margin), seed=1)
    assert ids(chosen) == ranked(np.abs(margin))[:7]
    gain = chosen["gain"].to_numpy()
    assert gain == pytest.approx(-np.sort(np.abs(margin))[:7])
    assert set(chosen["reason"].to_pylist()) == {"small margin"}
    assert chosen["new"].to_pylist() == [True] * 7


def test_the_probabilities_nearest_to_one_half_are_chosen_first():
    p = np.random.default_rng(2).random(ROWS)
    for columns in ({"probability": p, "margin": p}, {"prediction": p, "x": p}, {"any": p}):
        chosen = Uncertain(by="probability", n=5).sample(pairs(), features(**columns), seed=1)
        assert ids(chosen) == ranked(np.abs(p - 0.5))[:5]


def test_the_rows_on_which_members_differ_most_are_chosen_first():
    one, two, three = normal(1), normal(2), normal(3)
    members = {f"margin.member.{n}": v for n, v in (("a", one), ("b", two), ("c", three))}
    reward = features(margin=one, **members)
    chosen = Uncertain(by="disagreement", fraction=0.1).sample(pairs(), reward, seed=1)
    assert ids(chosen) == ranked(-np.std([one, two, three], axis=0))[:6]


def test_random_needs_no_reward_and_follows_the_seed():
    one, again, other = (Uncertain(by="random", n=9).sample(pairs(), seed=s) for s in (1, 1, 2))
    assert ids(one) == ids(again) != ids(other)
    assert len(set(ids(one))) == 9


def test_equal_rows_are_chosen_at_random():
    flat = features(margin=np.zeros(ROWS))
    taken = [ids(Uncertain(n=10).sample(pairs(), flat, seed=seed)) for seed in range(60)]
    counts = np.array([sum(f"p{row}" in one for one in taken) for row in range(ROWS)])
    assert counts.min() >= 1 and counts.max() < 30


def test_rows_chosen_before_come_first_and_are_not_chosen_again():
    margin = normal()
    reward = features(margin=margin)
    first = Uncertain(n=4).sample(pairs(), reward, seed=1)
    second = Uncertain(n=4).sample(pairs(), reward, first, seed=1)
    assert ids(second) == ranked(np.abs(margin))[:8]
    assert second["new"].to_pylist() == [False] * 4 + [True] * 4
    plain = Selection({"id": ["p3", "p1"]}, "start")
    assert ids(Uncertain(n=1).sample(pairs(), reward, plain, seed=1))[:2] == ["p3", "p1"]
    assert len(Uncertain(n=500).sample(pairs(), reward, second, seed=1)) == ROWS


@pytest.mark.parametrize("kind", [Uncertain, Diverse])
def test_at_most_one_row_of_a_prompt_is_chosen(kind):
    before = Selection({"id": ["p0"]})
    step = kind(n=ROWS, one_per_group=True)
    vectors = features(name="v", v=normal(1, (ROWS, 3)))
    if kind is Uncertain:
        chosen = step.sample(pairs(), features(margin=normal()), before, seed=1)
    else:
        chosen = step.sample(pairs(), [vectors], None, before)
    groups = [int(name[1:]) // 3 for name in ids(chosen)]
    assert sorted(groups) == list(range(ROWS // 3))


def test_rows_without_a_number_are_left_out_and_counted():
    margin = normal()
    margin[:5] = np.nan
    vectors = normal(1, (ROWS, 2))
    vectors[7] = np.inf
    with collect_notices() as notices:
        chosen = Uncertain(n=ROWS).sample(pairs(), features(margin=margin), seed=1)
        spread = Diverse(n=ROWS).sample(pairs(), [features(v=vectors)])
    assert len(chosen) == ROWS - 5 and len(spread) == ROWS - 1
    found = {notice.what: notice.count for notice in notices.values()}
    assert found == {"no finite margin": 5, "no finite vector": 1}


def greedily(vectors, free, before, size):
    """k-centre greedy, written out."""
    chosen = list(before)
    for _ in range(size):
        left = [row for row in free if row not in chosen]
        if not chosen:
            centre = vectors.mean(axis=0)
            chosen.append(min(left, key=lambda row: np.linalg.norm(vectors[row] - centre)))
            continue
        apart = {
            row: min(np.linalg.norm(vectors[row] - vectors[c]) for c in chosen) for row in left
        }
        chosen.append(max(left, key=apart.get))
    return chosen[len(before) :]


@pytest.mark.parametrize("before", [[], [4, 9]])
@pytest.mark.parametrize("free", [range(ROWS), range(0, ROWS, 2)])
def test_each_row_is_the_farthest_from_those_before(before, free):
    vectors = normal(3, (ROWS, 5))
    candidates = Selection({"id": [f"p{row}" for row in free], "reason": ["odd"] * len(free)})
    earlier = Selection({"id": [f"p{row}" for row in before]}) if before else None
    chosen = Diverse(n=12).sample(pairs(), [features(v=vectors)], candidates, earlier)
    expected = greedily(vectors, free, before, 12)
    assert ids(chosen) == [f"p{row}" for row in [*before, *expected]]
    last, others = vectors[expected[-1]], vectors[[*before, *expected[:-1]]]
    nearest = np.linalg.norm(others - last, axis=1).min()
    assert chosen["gain"][-1].as_py() == pytest.approx(nearest, rel=1e-4)
    assert chosen["reason"][-1].as_py() == "odd; farthest from those chosen before"


def test_all_rows_are_within_twice_the_least_possible_distance():
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(8, 4)) * 20
    vectors = (centres[rng.integers(0, 8, 400)] + rng.normal(size=(400, 4))).astype(np.float32)
    rows, _ = k_centre(vectors.copy(), np.ones(400, dtype=bool), np.zeros(0, dtype=int), 8)
    apart = np.linalg.norm(vectors[:, None] - vectors[rows][None], axis=2).min(axis=1)
    optimal = np.linalg.norm(vectors[:, None] - centres[None], axis=2).min(axis=1)
    assert apart.max() <= 2 * optimal.max()


def test_numbers_count_alike_whatever_their_unit():
    one, two = normal(1), normal(2)
    apart = Diverse(n=10).sample(pairs(), [features(a=one, b=two)])
    scaled = Diverse(n=10).sample(pairs(), [features(a=one * 1000, b=two)])
    assert ids(apart) == ids(scaled)


def test_copies_are_chosen_last():
    vectors = np.repeat(normal(6, (ROWS // 3, 4)), 3, axis=0)
    chosen = Diverse(n=ROWS).sample(pairs(), [features(v=vectors)])
    first = [int(name[1:]) // 3 for name in ids(chosen)[: ROWS // 3]]
    assert len(set(first)) == ROWS // 3 and len(chosen) == ROWS


def test_nothing_is_chosen_of_nothing():
    none = Selection({"id": pa.array([], pa.string())})
    assert len(Diverse(n=3).sample(pairs(), [features(v=normal(0, (ROWS, 2)))], none)) == 0


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (
            lambda: Uncertain(n=3).sample(pairs(), seed=1),
            "by margin needs the input reward; or choose by random",
        ),
        (
            lambda: Uncertain(by="disagreement", n=3).sample(
                pairs(), features(margin=normal()), seed=1
            ),
            "reward does not have two columns margin.member.* of an ensemble (it has margin)",
        ),
        (
            lambda: Uncertain(n=3).sample(pairs(), features(50, margin=np.zeros(50)), seed=1),
            "reward has no row for 10 of 60 ids (p50, p51, p52, p53, p54 and 5 more); give "
            "features of the same data",
        ),
        (
            lambda: Diverse(n=3).sample(
                pairs(), [features(v=normal(0, (ROWS, 2)))], None, Selection({"id": ["x"]}, "old")
            ),
            "old names 1 rows that pool does not have (x); choose from the same data",
        ),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(run, sentence):
    with pytest.raises(DataError) as error:
        run()
    assert str(error.value) == sentence


def test_a_missing_reward_is_told_before_running():
    known = {"data": [Known((Pairs,), step="pool")]}
    assert list(Uncertain(n=3).mistakes(known)) == [
        ("by", "by margin needs the input reward; or choose by random")
    ]
    known["reward"] = [Known((Features,), ["chosen", "rejected"], step="words")]
    assert list(Uncertain(n=3).mistakes(known)) == [
        ("reward", "words does not have margin (it has chosen, rejected)")
    ]


@pytest.mark.parametrize("wrong", [{}, {"n": 3, "fraction": 0.5}])
def test_a_choice_needs_one_size(wrong):
    for kind in (Uncertain, Diverse):
        with pytest.raises(ValidationError, match="give exactly one of n, fraction"):
            kind(**wrong)


def test_samplers_conform():
    data = small_pairs()
    reward = small_features(data, "reward")
    check_step(Uncertain, {"n": 3}, {"data": data, "reward": reward})
    check_step(Uncertain, {"n": 3, "by": "random"}, {"data": data})
    check_step(Diverse, {"n": 3}, {"data": data, "vectors": [reward]})
