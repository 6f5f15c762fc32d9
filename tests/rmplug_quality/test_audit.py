from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from plain_quality import pairs_of

from rmplug import Features, Metrics
from rmplug.errors import StepError
from rmplug.testing import check_step, run_step, small_features, small_pairs
from rmplug_quality.audit import Audit


def features(name: str, data: Any, **columns: Any) -> Features:
    return Features({"id": data["id"], "group": data["group"], **columns}, name)


def audited(data: Any, findings: list[Features], folder: Any) -> dict[tuple[str, str], dict]:
    made = run_step(Audit(), {"data": data, "findings": findings}, folder, seed=2)
    assert isinstance(made, Metrics)
    rows = made.table.to_pylist()
    return {(row["finding"], row["subset"]): row for row in rows}


def many(count: int, **more: Any) -> Any:
    return pairs_of([(f"p{row}", "a", "b") for row in range(count)], **more)


def test_it_keeps_its_promises():
    pairs = small_pairs()
    check_step(Audit, {}, {"findings": [small_features(pairs, "words")]})


def test_shares_have_counts_intervals_and_sentences(tmp_path):
    data = many(40, subset=["x"] * 30 + ["y"] * 10)
    copy = np.arange(40) % 4 == 0
    found = audited(data, [features("copies", data, copy=copy, cluster=np.ones(40))], tmp_path)
    row = found["copies.copy", "all"]
    assert (row["value"], row["count"], row["n"]) == (0.25, 10, 40)
    assert row["low"] == pytest.approx(0.14, abs=0.01) and row["high"] == pytest.approx(
        0.41, abs=0.01
    )
    assert row["sentence"].startswith("10 of 40 pairs (25.0\N{NO-BREAK SPACE}%; 95 % CI 14–4")
    assert row["sentence"].endswith(") repeat an earlier one word for word.")
    assert found["copies.copy", "y"]["count"] == 2 and not found["copies.copy", "y"]["sentence"]
    assert ("copies.cluster", "all") not in found


def test_rows_of_one_prompt_count_as_one_observation(tmp_path):
    copy = np.arange(80) < 20
    one = many(80)
    wide = many(80, group=[f"g{row // 10}" for row in range(80)])
    widths = []
    for number, data in enumerate((one, wide)):
        found = audited(data, [features("copies", data, copy=copy)], tmp_path / str(number))
        row = found["copies.copy", "all"]
        widths.append(row["high"] - row["low"])
    assert widths[1] > 1.5 * widths[0]


def test_every_column_of_a_step_that_is_not_known_is_counted(tmp_path):
    data = many(10)
    own = features("mine", data, odd=np.arange(10) - 6.0)
    row = audited(data, [own], tmp_path)["mine.odd", "all"]
    assert row["count"] == 3 and row["sentence"].endswith("have odd of mine.")


def test_the_side_that_a_measure_favours_is_told_where_it_is_no_chance(tmp_path):
    data = many(200)
    rng = np.random.default_rng(1)
    words = np.where(rng.random(200) < 0.75, 1.0, -1.0)
    coin = np.where(np.arange(200) % 2 == 0, 1.0, -1.0)
    coin[:20] = 0
    own = features("shape", data, **{"difference.words": words, "difference.coin": coin})
    found = audited(data, [own], tmp_path)
    row = found["shape.difference.words", "all"]
    assert row["metric"] == "more-in-chosen" and row["value"] == (words > 0).mean()
    assert row["p"] < row["p_holm"] < 1e-6
    assert row["sentence"].startswith(
        "Of the 200 pairs that differ in words, the chosen response has more in 7"
    )
    even = found["shape.difference.coin", "all"]
    assert even["n"] == 180 and even["p_holm"] > 0.9 and not even["sentence"]


def test_measures_of_several_steps_are_corrected_for_together(tmp_path):
    data = many(100)
    rng = np.random.default_rng(3)
    lead = np.where(np.arange(100) < 62, 1.0, -1.0)
    coins = [np.where(rng.random(100) < 0.5, 1.0, -1.0) for _ in range(4)]
    own = [features(f"s{n}", data, **{"difference.x": x}) for n, x in enumerate([lead, *coins])]
    row = audited(data, own, tmp_path)["s0.difference.x", "all"]
    assert 0.015 < row["p"] < 0.03 and row["p_holm"] == pytest.approx(5 * row["p"])
    assert not row["sentence"]


def test_a_handful_of_pairs_that_all_lean_to_one_side_is_no_evidence(tmp_path):
    for count, most in ((4, 1.0), (5, 0.2), (6, 0.1), (8, 0.05)):
        shape = features("shape", many(count), **{"difference.x": np.ones(count)})
        row = audited(many(count), [shape], tmp_path / str(count))["shape.difference.x", "all"]
        assert 2 * 0.5**count <= row["p"] < most  # the sign test, which is exact, is the bound


def test_wrong_labels_are_estimated_with_their_interval(tmp_path):
    rng = np.random.default_rng(3)
    true = rng.normal(0, 3, 2000)
    label = (rng.random(2000) < 1 / (1 + np.exp(-true))) ^ (rng.random(2000) < 0.2)
    data = many(2000, subset=["x"] * 1950 + ["few"] * 50)
    support = features("noise", data, support=np.where(label, true, -true), wrong=np.zeros(2000))
    found = audited(data, [support], tmp_path)
    row = found["noise.wrong", "all"]
    assert row["metric"] == "wrong-labels" and row["low"] < 0.2 < row["high"]
    assert "of the labels are wrong" in row["sentence"]
    assert ("noise.wrong", "few") not in found and ("noise.wrong", "x") in found


def test_where_texts_say_nothing_of_the_labels_no_share_of_wrong_ones_is_told(tmp_path):
    data = many(600)
    support = features("noise", data, support=np.random.default_rng(7).normal(0, 1, 600))
    row = audited(data, [support], tmp_path)["noise.wrong", "all"]
    assert row["low"] < 0.05 and row["high"] > 0.45
    assert row["sentence"].startswith("How many labels are wrong cannot be told (95 % CI 0")


def test_findings_of_other_data_are_refused_and_other_orders_are_not(tmp_path):
    data = many(4)
    turned = features("copies", data.take([3, 2, 1, 0]), copy=np.array([True, False, False, False]))
    assert audited(data, [turned], tmp_path)["copies.copy", "all"]["count"] == 1
    with pytest.raises(StepError, match="copies has no row for 2 of 4 rows"):
        audited(data, [features("copies", data.take([0, 1]), copy=np.zeros(2))], tmp_path / "less")
