"""Repairs, tested again: what they cured, what they cost, and what cannot be told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from simulated_tables import pairs_of, reward_of, scores_of, table_of

from rmplug import DataError, Features, Responses
from rmplug.testing import check_step
from rmplug_audit.measuring.retesting import Retest

Rows = list[dict[str, Any]]
CHANGES = [("padding", 2, "keeps"), ("bullets", 1, "keeps"), ("cut", 1, "worsens"),
           ("repair", 1, "improves")]  # fmt: skip


def retested(
    before: list[float], after: list[float], prompts: int = 80, noise: float = 0.2, **params: Any
) -> Rows:
    """Retest a model with the second effects instead of the first; all else stays."""
    table = table_of(pairs_of(prompts), CHANGES)
    rng = np.random.default_rng(1)
    original = rng.normal(size=2 * prompts) + np.tile([1.5, 0.0], prompts)
    shared = noise * rng.normal(size=(2 * prompts, 4))
    shared -= shared.mean(axis=0)
    own = noise / 4 * rng.normal(size=(2, 2 * prompts, 4))
    own -= own.mean(axis=1, keepdims=True)
    rewards = [
        reward_of(table, scale * scores_of(original, effects + shared + each), name)
        for scale, effects, each, name in zip(
            (1, 3), (before, after), own, ("old", "new"), strict=True
        )
    ]
    return Retest(**params).evaluate(table, *rewards).table.to_pylist()


def row_of(rows: Rows, metric: str, perturbation: str = "") -> dict[str, Any]:
    (row,) = (r for r in rows if r["metric"] == metric and r["perturbation"] == perturbation)
    return row


def verdicts(rows: Rows) -> dict[str, str]:
    return {r["perturbation"]: r["verdict"] for r in rows if r["metric"] == "effect-change"}


GOOD = [0.0, 0.0, -1.0, 1.0]


def test_an_effect_that_falls_by_what_is_asked_is_repaired_whatever_the_new_scale() -> None:
    rows = retested([1.0, *GOOD[1:]], [0.05, *GOOD[1:]])
    others = dict.fromkeys(("bullets", "cut", "repair"), "nothing to repair")
    assert verdicts(rows) == {"padding": "repaired", **others}
    rest, change = (row_of(rows, m, "padding") for m in ("remaining", "effect-change"))
    assert rest["value"] == pytest.approx(0.05, abs=0.01) and rest["high"] < 0.2
    before, after = (row_of(rows, f"effect-{m}", "padding") for m in ("before", "after"))
    assert change["value"] == pytest.approx(after["value"] - before["value"])
    assert before["verdict"] == "exploit"
    assert (change["model"], change["other"]) == ("new", "old")
    assert row_of(rows, "effects-up")["value"] == 0


def test_what_lowers_the_reward_of_good_form_is_repaired_and_made_worse_as_well() -> None:
    rows = retested([-1.0, *GOOD[1:]], [-0.05, -0.6, *GOOD[2:]])
    assert row_of(rows, "effect-before", "padding")["verdict"] == "sensitive"
    assert (verdicts(rows)["padding"], verdicts(rows)["bullets"]) == ("repaired", "worse")
    assert row_of(rows, "effect-change", "padding")["targeted"]


def test_half_a_repair_is_none_and_one_that_goes_too_far_neither() -> None:
    assert verdicts(retested([1.0, *GOOD[1:]], [0.5, *GOOD[1:]]))["padding"] == "not repaired"
    assert verdicts(retested([1.0, *GOOD[1:]], [-0.5, *GOOD[1:]]))["padding"] == "not repaired"
    assert verdicts(retested([1.0, *GOOD[1:]], [0.5, *GOOD[1:]], fall=0.3))["padding"] == "repaired"


def test_on_the_other_side_of_zero_an_effect_is_worse_only_where_it_is_surely_stronger() -> None:
    # that it went from 1 to the other side is sure, that it goes further there is not
    alike = retested([1.0, *GOOD[1:]], [-1.01, *GOOD[1:]])
    change = row_of(alike, "effect-change", "padding")
    assert change["q"] < 0.001 and change["verdict"] == "not repaired"
    assert verdicts(retested([1.0, *GOOD[1:]], [-1.5, *GOOD[1:]]))["padding"] == "worse"
    assert verdicts(retested([-0.01, *GOOD[1:]], [1.0, *GOOD[1:]]))["padding"] == "worse"


def test_an_effect_that_went_up_is_worse_and_counted_unless_it_was_the_target() -> None:
    rows = retested([1.0, 0.0, -1.0, 1.0], [0.05, 0.6, 0.5, -0.5])
    others = dict.fromkeys(("bullets", "cut", "repair"), "worse")
    assert verdicts(rows) == {"padding": "repaired", **others}
    up = row_of(rows, "effects-up")
    assert (up["value"], up["n"]) == (3, 4)
    named = retested([1.0, 0.0, -1.0, 1.0], [0.05, 0.6, 0.5, -0.5], targets=("bullets", "cut~1"))
    assert row_of(named, "effects-up")["value"] == 1
    assert {row["perturbation"] for row in named if row["targeted"]} == {"bullets", "cut"}


def test_an_effect_that_went_up_by_less_than_matters_is_slightly_worse() -> None:
    rows = retested([1.0, 0.0, -1.0, 1.0], [0.05, 0.08, -1.0, 1.0])
    change = row_of(rows, "effect-change", "bullets")
    assert 0 < change["low"] < change["high"] < 0.1 and change["q"] < 0.001
    assert change["verdict"] == "slightly worse"
    up, slightly = (row_of(rows, m) for m in ("effects-up", "effects-slightly-up"))
    assert (up["value"], slightly["value"], slightly["n"]) == (0, 1, 4)
    rows = retested([1.0, 0.0, -1.0, 1.0], [0.05, 0.08, -1.0, 1.0], rise=0.02)
    assert verdicts(rows)["bullets"] == "worse" and row_of(rows, "effects-up")["value"] == 1
    rows = retested([1.0, 0.0, -1.0, 1.0], [0.05, 0.12, -1.0, 1.0])
    change = row_of(rows, "effect-change", "bullets")
    assert 0 < change["low"] < 0.1 < change["high"] and change["verdict"] == "cannot tell"
    # what was a fault before and goes up a little is one that is not repaired
    rows = retested([0.5, *GOOD[1:]], [0.56, *GOOD[1:]])
    assert verdicts(rows)["padding"] == "not repaired"


def test_damage_that_cost_nothing_is_repaired_where_it_costs_something() -> None:
    rows = retested([0.0, 0.0, 0.0, 1.0], [0.0, 0.0, -1.0, 1.0])
    assert row_of(rows, "effect-before", "cut")["verdict"] == "exploit"
    assert verdicts(rows)["cut"] == "repaired"
    assert row_of(rows, "remaining", "cut")["value"] is None
    rows = retested([0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0])
    assert verdicts(rows)["cut"] == "not repaired"


def test_few_prompts_and_much_noise_claim_nothing() -> None:
    rows = retested([0.3, 0.0, -1.0, 1.0], [0.0, 0.0, -1.0, 1.0], prompts=12, noise=1.5)
    assert verdicts(rows)["padding"] == "cannot tell"
    assert verdicts(rows)["bullets"] == "cannot tell"
    assert row_of(rows, "accuracy-change")["verdict"] == "cannot tell"


def accuracies(flips: int, gains: int, prompts: int) -> dict[str, Any]:
    """The change of accuracy where so many right preferences are lost and wrong ones gained."""
    table = table_of(pairs_of(prompts), [])
    old = np.tile([1.0, 0.0], prompts) + np.repeat(np.arange(prompts), 2)
    new = old.copy()
    lost, won = np.arange(flips), np.arange(flips, flips + gains)
    for scores, which in ((new, lost), (old, won)):
        scores[2 * which], scores[2 * which + 1] = -1.0, 1.0
    rewards = [reward_of(table, scores, name) for scores, name in ((old, "old"), (new, "new"))]
    return row_of(Retest().evaluate(table, *rewards).table.to_pylist(), "accuracy-change")


def test_accuracy_is_kept_lost_or_neither_and_no_change_in_few_prompts_is_no_proof() -> None:
    row = accuracies(0, 0, 30)
    assert row["value"] == 0 and row["low"] < -0.05 and row["verdict"] == "cannot tell"
    assert row["power"] < 0.2
    assert accuracies(0, 0, 1500)["verdict"] == "kept"
    assert accuracies(0, 30, 300)["verdict"] == "kept"
    row = accuracies(30, 0, 300)
    assert row["verdict"] == "worse" and row["value"] == pytest.approx(-0.1)
    assert row["p"] < 1e-4 and row["high"] < 0
    assert accuracies(5, 4, 300)["verdict"] == "cannot tell"


def test_both_models_are_measured_on_the_rows_that_both_score() -> None:
    table = table_of(pairs_of(20), CHANGES[:1])
    rng = np.random.default_rng(3)
    old, new = rng.normal(size=(2, len(table)))
    old[1], new[3], new[4] = np.nan, np.nan, np.nan
    rows = Retest().evaluate(table, reward_of(table, old, "old"), reward_of(table, new, "new"))
    listed = rows.table.to_pylist()
    assert {r["n"] for r in listed if r["metric"].startswith("effect-")} == {37}
    assert row_of(listed, "accuracy-change")["n"] == 19


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    with pytest.raises(DataError, match="no change 'paddin' in the data.*'padding'"):
        retested(GOOD, GOOD, targets=("paddin",))
    table = table_of(pairs_of(3), CHANGES)
    zeros = np.zeros(len(table))
    several = Features({"id": table["id"], "reward.a": zeros, "reward.b": zeros}, "old")
    with pytest.raises(DataError, match=r"old has several scores \(old.a, old.b\)"):
        Retest().evaluate(table, several, reward_of(table, zeros, "new"))
    plain = Responses(table.table.drop_columns(["dose"]), "table")
    with pytest.raises(DataError, match="no column dose"):
        Retest().evaluate(plain, reward_of(table, zeros, "a"), reward_of(table, zeros, "b"))


def test_it_keeps_the_promises_of_a_step() -> None:
    table = table_of(pairs_of(6), CHANGES, subset=["a", "a", "b", "b"] * 3)
    rng = np.random.default_rng(20)
    before, after = (reward_of(table, rng.normal(size=len(table)), n) for n in ("old", "new"))
    check_step(Retest, inputs={"data": table, "before": before, "after": after})
