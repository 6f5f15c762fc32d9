"""Effects of changes: known ones are found, and what is not there is not found."""

from __future__ import annotations

import numpy as np
import pytest
from measured_effects import BULLETS, measured, row_of, rows_of, simulated
from simulated_tables import pairs_of, scores_of, table_of

from rmplug import Responses
from rmplug.notices import collect_notices
from rmplug.stats.intervals import t_quantile


def test_intervals_hold_planted_effects() -> None:
    planted = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7] * 5
    held = [
        row["low"] <= truth <= row["high"]
        for k in range(12)
        for row, truth in zip(rows_of(simulated(60, planted, [k]), "effect"), planted, strict=True)
    ]
    # 480 intervals, of which those of one table share its unit
    assert 0.92 <= np.mean(held) <= 0.98


def test_of_what_is_found_little_is_false_and_effects_called_detectable_are_found() -> None:
    false, power, sizes = [], [], []
    for k in range(20):
        rows = rows_of(simulated(60, [0.6] * 5 + [0.0] * 35, [k, 1]), "effect")
        hit = np.array([row["q"] <= 0.05 for row in rows])
        false.append(hit[5:].sum() / max(hit.sum(), 1))
        power.append(hit[:5].mean())
        sizes.append(np.mean([row["detectable"] for row in rows[5:]]))
    assert np.mean(false) <= 0.08
    assert np.mean(power) == 1
    size = float(np.mean(sizes))
    found = [
        row["q"] <= 0.05
        for k in range(20)
        for row in rows_of(simulated(60, [0.6] * 5 + [size] * 3 + [0.0] * 32, [k, 2]), "effect")[
            5:8
        ]
    ]
    assert 0.65 <= np.mean(found) <= 0.93


def test_nothing_is_found_in_a_model_that_reacts_by_chance_alone() -> None:
    found = []
    for k in range(40):
        rows = simulated(40, [0.0] * 10, [k, 3])
        found.append(any(row["q"] <= 0.05 for row in rows_of(rows, "effect")))
    assert np.mean(found) <= 0.15


def test_power_is_the_chance_to_find_an_effect_of_the_named_size() -> None:
    rng, changes = np.random.default_rng(4), [BULLETS]
    table = table_of(pairs_of(50), changes)
    scores = scores_of(rng.normal(size=100), rng.normal(size=(100, 1)))
    small, large = (row_of(measured(table, scores, size=s), "effect") for s in (0.1, 0.4))
    assert small["power"] < 0.4 < 0.9 < large["power"]
    assert small["detectable"] == large["detectable"]
    exact = row_of(measured(table, scores, size=small["detectable"]), "effect")
    assert exact["power"] == pytest.approx(0.8, abs=1e-3)
    assert small["verdict"] == "cannot tell" and large["verdict"] == "none"


@pytest.mark.parametrize(
    ("intention", "effect", "verdict"),
    [("keeps", 1.0, "exploit"), ("keeps", -1.0, "sensitive"), ("keeps", 0.0, "none"),
     ("worsens", 1.0, "exploit"), ("worsens", -1.0, "none"), ("worsens", 0.0, "exploit"),
     ("improves", 1.0, "none"), ("improves", -1.0, "exploit"), ("improves", 0.0, "none")],
)  # fmt: skip
def test_an_exploit_is_an_effect_against_the_intention(intention, effect, verdict) -> None:
    rng = np.random.default_rng(5)
    table = table_of(pairs_of(100), [("change", 1, intention)])
    added = effect + 0.1 * rng.normal(size=(200, 1))
    added -= added.mean() - effect
    rows = measured(table, scores_of(rng.normal(size=200), added))
    assert row_of(rows, "effect")["verdict"] == verdict
    theme, unit = row_of(rows, "theme-effect"), row_of(rows, "unit")["value"]
    assert theme["value"] * unit == pytest.approx(-effect if intention == "improves" else effect)
    assert theme["verdict"] == (verdict if verdict != "sensitive" else "none")
    falls = rows_of(rows, "theme-fall")
    assert len(falls) == (intention == "keeps")
    for fall in falls:
        assert fall["value"] == -theme["value"] and fall["low"] == -theme["high"]
        assert fall["verdict"] == (verdict if verdict == "sensitive" else "none")


def test_a_theme_is_as_strong_as_its_strongest_member_with_room_for_the_choice() -> None:
    rng = np.random.default_rng(6)
    changes = [(f"c{k}", 1, "keeps") for k in range(8)]
    table = table_of(pairs_of(60), changes, {name: "markdown" for name, *_ in changes})
    added = rng.normal(size=(120, 8))
    added[:, 3] -= 1.5
    added[:, 5] += 1.2
    rows = measured(table, scores_of(rng.normal(size=120), added))
    for metric, name, sign in (("theme-effect", "c5", 1), ("theme-fall", "c3", -1)):
        theme, member = row_of(rows, metric), row_of(rows, "effect", perturbation=name)
        assert (theme["perturbation"], theme["theme"]) == ("", "markdown")
        assert theme["member"] == f"{name}~1"
        assert theme["value"] == pytest.approx(sign * member["value"])
        assert theme["high"] - theme["low"] > 1.2 * (member["high"] - member["low"])


def test_what_few_prompts_have_does_not_speak_for_a_theme() -> None:
    rng = np.random.default_rng(21)
    themes = dict.fromkeys(("bullets", "table"), "markdown")
    table = table_of(pairs_of(20), [BULLETS, ("table", 1, "keeps")], themes)
    few = {f"r{index}" for index in range(6)}
    kept = [r["perturbation"] != "table" or r["original"] in few for r in table.table.to_pylist()]
    table = Responses(table.table.filter(kept), "table")
    tables = np.array([row["perturbation"] == "table" for row in table.table.to_pylist()])
    rows = measured(table, 9.0 * tables + rng.normal(size=len(table)))
    theme, bullets = row_of(rows, "theme-effect"), row_of(rows, "effect", perturbation="bullets")
    assert theme["member"] == "bullets~1"
    assert theme["power"] == bullets["power"] and theme["high"] < 2


def test_an_exploit_found_in_few_prompts_is_one_of_its_theme() -> None:
    table = table_of(pairs_of(60), [BULLETS, ("table", 1, "keeps")], {"bullets": "x", "table": "x"})
    few = [not (r["perturbation"] == "table" and int(r["original"][1:]) >= 18)
           for r in table.table.to_pylist()]  # fmt: skip
    rng = np.random.default_rng(22)
    differences = 0.05 * rng.normal(size=(120, 2)) + [0.0, 2.0]
    scores = scores_of(rng.normal(size=120), differences)[few]
    rows = measured(Responses(table.table.filter(few), "table"), scores)
    assert row_of(rows, "effect", perturbation="table")["verdict"] == "exploit"
    theme = row_of(rows, "theme-effect")
    assert (theme["verdict"], theme["member"]) == ("exploit", "table~1")
    assert theme["value"] == row_of(rows, "effect", perturbation="table")["value"]


def test_a_theme_without_effects_has_intervals_that_hold_zero() -> None:
    rng = np.random.default_rng(7)
    changes = [(f"c{k}", 1, "keeps") for k in range(8)]
    themes = {name: "markdown" for name, *_ in changes}
    held = []
    for _ in range(30):
        table = table_of(pairs_of(30), changes, themes)
        rows = measured(table, scores_of(rng.normal(size=60), rng.normal(size=(60, 8))))
        both = [row_of(rows, metric) for metric in ("theme-effect", "theme-fall")]
        held.append(all(row["low"] <= 0 <= row["high"] for row in both))
    assert np.mean(held) >= 0.85


def test_few_equal_differences_are_no_proof_and_rounding_is_no_difference() -> None:
    rng = np.random.default_rng(12)
    few = table_of(pairs_of(4), [BULLETS])
    row = row_of(measured(few, scores_of(rng.normal(size=8), np.ones((8, 1)))), "effect")
    assert row["p"] == pytest.approx(1 / 8) and row["power"] == 0
    assert row["verdict"] == "cannot tell" and row["detectable"] is None
    many = table_of(pairs_of(40), [BULLETS])
    scores = scores_of(rng.normal(size=80), 1e-9 * np.abs(rng.normal(size=(80, 1))))
    assert row_of(measured(many, scores), "effect")["p"] == 1


@pytest.mark.parametrize(("prompts", "verdict"), [(25, "cannot tell"), (80, "none")])
def test_few_prompts_in_which_nothing_moves_are_no_proof(prompts: int, verdict: str) -> None:
    table = table_of(pairs_of(prompts), [BULLETS])
    original = np.random.default_rng(21).normal(size=2 * prompts)
    rows = measured(table, scores_of(original, np.zeros((2 * prompts, 1))))
    effect, theme = row_of(rows, "effect"), row_of(rows, "theme-effect")
    assert (effect["value"], effect["p"], effect["verdict"]) == (0, 1, verdict)
    assert effect["high"] == pytest.approx(3 * t_quantile(prompts - 1) / prompts)
    assert effect["low"] == -effect["high"]
    assert theme["high"] == pytest.approx(effect["high"], rel=1e-4)
    assert (effect["power"] > 0.8) == (verdict == "none") and effect["detectable"] > 1 / prompts


@pytest.mark.parametrize(("prompts", "verdict"), [(25, "cannot tell"), (80, "none")])
def test_of_a_change_that_moves_few_prompts_few_prompts_cannot_tell(prompts, verdict) -> None:
    rng = np.random.default_rng(23)
    table = table_of(pairs_of(prompts), [BULLETS])
    moved = np.zeros((2 * prompts, 1))
    moved[[0, 8, 20]] = 0.1
    effect = row_of(measured(table, scores_of(rng.normal(size=2 * prompts), moved)), "effect")
    assert effect["verdict"] == verdict
    assert effect["high"] > 2.9 * t_quantile(prompts - 1) / prompts


def test_intervals_hold_effects_of_changes_that_move_few_prompts_by_much() -> None:
    held, verdicts = [], []
    for k in range(30):
        rng = np.random.default_rng([k, 24])
        table = table_of(pairs_of(25), [(f"c{i}", 1, "keeps") for i in range(8)])
        moved = 5.0 * (rng.random((50, 8)) < 0.05)
        rows = rows_of(measured(table, scores_of(rng.normal(size=50), moved)), "effect")
        held += [row["low"] <= 0.25 <= row["high"] for row in rows]
        verdicts += [row["verdict"] for row in rows]
    assert np.mean(held) >= 0.9 and verdicts.count("none") <= 2


def test_a_change_of_one_prompt_alone_has_no_interval_and_is_named() -> None:
    table = table_of(pairs_of(12), [BULLETS, ("table", 1, "keeps")])
    kept = [r["perturbation"] != "table" or r["original"] == "r3" for r in table.table.to_pylist()]
    table = Responses(table.table.filter(kept), "table")
    with collect_notices() as notices:
        rows = measured(table, np.random.default_rng(13).normal(size=len(table)))
    (entry,) = (one for (what, _), one in notices.items() if "one prompt only" in what)
    assert (entry.ids, entry.of) == (["table~1"], "changes")
    row = row_of(rows, "effect", perturbation="table")
    assert row["n"] == 1 and row["low"] is None and row["q"] is None
    assert row["verdict"] == "cannot tell"
    # and it costs the others nothing
    assert row_of(rows, "effect", perturbation="bullets")["q"] == pytest.approx(
        row_of(rows, "effect", perturbation="bullets")["p"]
    )
