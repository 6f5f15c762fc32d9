"""Pseudo-labels are used, and off-topic responses never come from the pair's own prompt."""

from __future__ import annotations

import numpy as np
import pytest

from rmplug import DataError, Features, Pairs, text_of
from rmplug.testing import check_step, small_pairs
from rmplug_armorm.pairs.augmentation import OffTopic, PseudoLabel


def rewards(margins: list[float | None], data: Pairs) -> Features:
    values = np.array([np.nan if m is None else m for m in margins])
    return Features({"id": data["id"], "margin": values}, "reward")


def texts(data: Pairs, side: str) -> list[str]:
    return text_of(data[side]).to_pylist()


def test_the_label_of_the_model_is_used_where_it_is_sure() -> None:
    data = small_pairs(5)
    labelled = PseudoLabel().sample(data, rewards([3.0, -3.0, 0.5, None, -1.0], data))
    assert labelled["id"].to_pylist() == ["pair-0", "pair-1"]
    assert labelled["relabelled"].to_pylist() == [False, True]
    assert texts(labelled, "chosen") == [texts(data, "chosen")[0], texts(data, "rejected")[1]]
    assert texts(labelled, "rejected") == [texts(data, "rejected")[0], texts(data, "chosen")[1]]
    assert labelled["confidence"].to_pylist() == pytest.approx([0.9526, 0.9526], abs=1e-4)


def test_weights_say_how_sure_the_model_is() -> None:
    data = small_pairs(2)
    labelled = PseudoLabel(weigh=True).sample(data, rewards([3.0, -3.0], data))
    assert labelled["weight"].to_pylist() == pytest.approx([0.9051, 0.9051], abs=1e-4)


def test_confidence_is_what_it_says_on_labelled_pairs() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(scale=2, size=20_000)
    right = rng.random(20_000) < 1 / (1 + np.exp(-np.abs(truth)))
    names = [str(row) for row in range(20_000)]
    pairs = Pairs({"id": names, "prompt": names, "chosen": names, "rejected": names}, "pairs")
    loud = Features({"id": names, "margin": np.where(right, 1, -1) * np.abs(truth) * 10}, "reward")
    asked = small_pairs(1)
    labelled = PseudoLabel(threshold=0.51).sample(asked, rewards([10.0], asked), pairs, loud)
    assert labelled["confidence"].to_pylist() == pytest.approx([1 / (1 + np.exp(-1))], abs=0.02)


def test_half_of_the_labelled_inputs_is_refused() -> None:
    data = small_pairs(2)
    with pytest.raises(DataError, match="labelled and labelled_reward belong together"):
        PseudoLabel().sample(data, rewards([1.0, 1.0], data), labelled=data)


def test_an_original_stays_and_its_own_responses_beat_those_to_other_prompts() -> None:
    data = small_pairs(7)
    made = OffTopic().sample(data, seed=5)
    rows = made.table.to_pylist()
    assert len(rows) == 7 * 9
    assert [row["id"] for row in rows[::9]] == data["id"].to_pylist()
    assert texts(made, "chosen")[::9] == texts(data, "chosen")
    of_group: dict[str, set[str]] = {}
    for side in ("chosen", "rejected"):
        for group, text in zip(data["group"].to_pylist(), texts(data, side), strict=True):
            of_group.setdefault(group, set()).add(text)
    added = [row for row in rows if row["origin"] == "off-topic"]
    assert len(added) == 7 * 8
    for row in added:
        assert row["chosen"][0]["content"] in of_group[row["group"]]
        assert row["rejected"][0]["content"] not in of_group[row["group"]]
    assert len({row["id"] for row in rows}) == len(rows)


def test_neutral_pairs_come_in_both_orders_with_half_the_weight() -> None:
    made = OffTopic(partners=1, ties=True, weight=0.5).sample(small_pairs(7), seed=5)
    rows = made.table.to_pylist()[:7]
    assert [row["origin"] for row in rows] == ["original", *["off-topic"] * 4, *["neutral"] * 2]
    assert [row["weight"] for row in rows] == [1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert rows[5]["chosen"] == rows[6]["rejected"] and rows[5]["rejected"] == rows[6]["chosen"]


def test_partners_are_drawn_evenly_from_the_other_groups() -> None:
    names = [str(row) for row in range(9_000)]
    groups = [str(row % 3) for row in range(9_000)]
    columns = {"id": names, "group": groups, "prompt": names, "chosen": groups, "rejected": groups}
    made = OffTopic(partners=1).sample(Pairs(columns, "pairs"), seed=1).table.to_pylist()
    against = [row["rejected"][0]["content"] for row in made if row["id"].endswith("/off-topic-1")]
    counts = np.bincount([int(one) for one in against[::3]], minlength=3)
    assert counts[0] == 0 and abs(counts[1] - 1500) < 150


def test_one_prompt_alone_has_nothing_off_topic() -> None:
    with pytest.raises(DataError, match="all pairs are of one group"):
        OffTopic().sample(small_pairs(7).take([0, 5]), seed=1)


def test_samplers_of_more_pairs_conform() -> None:
    data = small_pairs()
    check_step(OffTopic, {}, {"data": data})
    check_step(PseudoLabel, {}, {"data": data, "reward": rewards([2.0] * 7, data)})
