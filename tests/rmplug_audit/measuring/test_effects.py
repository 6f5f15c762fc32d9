"""Effects of changes: what they are the mean of, and what is counted, named and refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_effects import BULLETS, measured, numbers, row_of, rows_of
from simulated_tables import pairs_of, reward_of, scores_of, table_of

from rmplug import DataError, Features, Responses
from rmplug.data.rows import one_batch
from rmplug.known import known_of
from rmplug.notices import collect_notices
from rmplug.stats.numbers import number_name
from rmplug.testing import LengthModel, check_step, small_responses
from rmplug_audit.measuring.effects import Effects
from rmplug_audit.perturbing import Perturb


def test_an_effect_is_the_mean_change_in_standard_deviations_within_prompts() -> None:
    table = table_of([0, 0, 1, 1, 2, 2], [BULLETS])
    original = np.array([3.0, 1.0, 12.0, 10.0, 25.0, 21.0])
    rows = measured(
        table, scores_of(original, np.array([[1.0], [2.0], [0.0], [1.0], [3.0], [5.0]]))
    )
    # squares about the prompts' means: 1 + 1, 1 + 1, 4 + 4 with 3 degrees of freedom
    assert row_of(rows, "unit")["value"] == pytest.approx(2.0)
    effect = row_of(rows, "effect")
    assert effect["value"] == pytest.approx(12 / 6 / 2) and effect["n"] == 6
    assert effect["low"] < effect["value"] < effect["high"]
    assert (effect["perturbation"], effect["dose"], effect["intention"]) == BULLETS
    assert row_of(rows, "effect-good")["value"] == pytest.approx(4 / 3 / 2)
    assert row_of(rows, "effect-bad")["value"] == pytest.approx(8 / 3 / 2)


def test_preferences_turn_where_the_bad_response_catches_up_a_tie_by_one_half() -> None:
    table = table_of(pairs_of(5), [BULLETS])
    original = np.array([2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 1.0, 3.0])
    added = [[0], [0.5], [-3], [1], [0], [2], [0], [0], [9], [9]]
    rows = measured(table, scores_of(original, np.array(added, dtype=float)))
    assert row_of(rows, "accuracy")["value"] == pytest.approx(4 / 5)
    flipped = row_of(rows, "flipped")
    assert row_of(rows, "raised")["value"] == pytest.approx((5 + 0.5 * 4) / 10)
    # of the four right ones: no, a tie, yes, no
    assert flipped["value"] == pytest.approx(1.5 / 4) and flipped["n"] == 4
    assert row_of(rows, "flipped-good")["value"] == pytest.approx(1 / 4)
    assert row_of(rows, "accuracy-changed")["value"] == pytest.approx(2.5 / 5)
    assert row_of(rows, "accuracy-good-changed")["value"] == pytest.approx(4 / 5)
    assert row_of(rows, "accuracy-both-changed")["value"] == pytest.approx(2 / 5)
    worst = row_of(rows, "accuracy-worst")
    assert worst["value"] == pytest.approx(2 / 5) and worst["member"] == "bullets~1, both changed"
    assert worst["low"] <= row_of(rows, "accuracy-both-changed")["low"]


def test_what_a_change_does_not_apply_to_stays_as_it_is() -> None:
    table = table_of(pairs_of(10), [BULLETS])
    kept = [not r["perturbation"] or r["original"] in ("r1", "r2") for r in table.table.to_pylist()]
    table = Responses(table.table.filter(kept), "table")
    scores = [float(row["label"]) + 5 * row["dose"] for row in table.table.to_pylist()]
    rows = measured(table, np.array(scores))
    assert row_of(rows, "flipped")["n"] == 1 and row_of(rows, "flipped")["value"] == 1
    changed = row_of(rows, "accuracy-changed")
    assert changed["n"] == 10 and changed["value"] == pytest.approx(0.9)
    assert row_of(rows, "accuracy-good-changed")["value"] == 1
    assert row_of(rows, "accuracy-worst")["value"] == pytest.approx(0.9)


def test_accuracies_are_given_only_where_labels_still_hold() -> None:
    changes = [BULLETS, ("errors", 1, "worsens"), ("corrections", 1, "improves")]
    table = table_of(pairs_of(4), changes)
    rows = measured(table, scores_of(np.arange(8.0), np.ones((8, 3))))
    given_for = {
        metric: {row["perturbation"] for row in rows_of(rows, metric)}
        for metric in ("accuracy-changed", "accuracy-good-changed", "accuracy-both-changed")
    }
    assert given_for == {
        "accuracy-changed": {"bullets", "errors"},
        "accuracy-good-changed": {"bullets", "corrections"},
        "accuracy-both-changed": {"bullets"},
    }
    worst = row_of(rows, "accuracy-worst")
    # another change may be the worst one of the next run: the name of the number stays
    assert worst["member"].startswith("bullets~1, ")
    assert number_name("audit", worst) == "audit / model-0 / accuracy-worst / all"


def test_every_good_response_is_compared_with_every_bad_one_of_its_prompt() -> None:
    table = table_of([0, 0, 0, 0, 1, 1, 1], [BULLETS], label=[1, 0, 1, 0, 0, 0, None])
    scores = scores_of(np.array([4.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0]), np.zeros((7, 1)))
    accuracy = row_of(measured(table, scores), "accuracy")
    assert accuracy["n"] == 4 and accuracy["value"] == pytest.approx(3 / 4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.floats(0.01, 100), st.floats(-50, 50))
def test_effects_do_not_depend_on_the_scale_of_the_reward_nor_on_prompts(seed, scale, shift):
    rng = np.random.default_rng(seed)
    table = table_of(pairs_of(12), [BULLETS, ("bullets", 2, "keeps")])
    original, added = rng.normal(size=24), rng.normal(size=(24, 2))
    first = measured(table, scores_of(original, added))
    moved = original + np.repeat(rng.normal(size=12), 2)
    second = measured(table, shift + scale * scores_of(moved, added))
    for metric in ("effect", "dose-slope", "theme-effect", "theme-fall"):
        for one, two in zip(rows_of(first, metric), rows_of(second, metric), strict=True):
            for number in ("value", "low", "high", "q", "power", "detectable"):
                assert np.isclose(*numbers(one[number], two[number]), rtol=1e-4, equal_nan=True)


def test_the_slope_of_doses_is_the_change_of_each_unit() -> None:
    changes = [("bullets", dose, "keeps") for dose in (1, 2, 4)] + [("bold", 1, "keeps")]
    table = table_of(pairs_of(30), changes)
    rng = np.random.default_rng(8)
    added = np.array([0.3, 0.6, 1.2, 0.3]) + np.zeros((60, 4))
    added[5, 1] = np.nan
    rows = measured(table, scores_of(rng.normal(size=60), added))
    unit = row_of(rows, "unit")["value"]
    slope = row_of(rows, "dose-slope")
    assert slope["perturbation"] == "bullets" and slope["dose"] is None
    assert slope["value"] * unit == pytest.approx(0.3)


def test_a_reward_for_length_is_seen_in_what_length_alone_would_give() -> None:
    texts = small_responses(14)
    table = Responses(
        Perturb(perturbations=("padding", "bullets")).sample(texts, seed=1).table, "t"
    )
    lengths = np.log(LengthModel().score(one_batch(table.table)) * 100)
    rows = measured(table, lengths)
    for effect in rows_of(rows, "effect"):
        assert effect["value"] == pytest.approx(effect["length_alone"])
    for beyond in rows_of(rows, "beyond-length"):
        assert beyond["value"] == pytest.approx(0, abs=1e-9)
    content = np.random.default_rng(0).permutation(lengths)
    effect, beyond = (row_of(measured(table, content), m, perturbation="padding", dose=4)
                      for m in ("effect", "beyond-length"))  # fmt: skip
    assert beyond["value"] == pytest.approx(effect["value"] - effect["length_alone"])


def test_subsets_are_measured_in_the_unit_of_the_whole_and_the_worst_one_is_named() -> None:
    rng = np.random.default_rng(9)
    subset = ["code"] * 40 + ["chat"] * 40
    table = table_of(pairs_of(40), [BULLETS], subset=subset)
    original = rng.normal(size=80) + np.tile([2.0, 0.0], 40)
    added = np.where(np.arange(80) < 40, 4.0, 0.0)[:, None] + 0.1 * rng.normal(size=(80, 1))
    rows = measured(table, scores_of(original, added))
    unit = row_of(rows, "unit")["value"]
    code, chat = (row_of(rows, "effect", subset=name) for name in ("code", "chat"))
    assert code["value"] * unit == pytest.approx(4, abs=0.1) and code["verdict"] == "exploit"
    assert chat["value"] * unit == pytest.approx(0, abs=0.1) and chat["n"] == 40
    worst = [row for row in rows if row["metric"] == "accuracy-worst-subset"]
    assert [row["subset"] for row in worst] == ["all"]
    assert worst[0]["member"] == "code: bullets~1, the bad one changed"
    changed = row_of(rows, "accuracy-changed", subset="code")
    assert worst[0]["value"] == changed["value"] and worst[0]["low"] <= changed["low"]


def test_scores_that_are_missing_are_counted_named_and_left_out_with_their_comparisons() -> None:
    table = table_of(pairs_of(20), [BULLETS, ("bold", 1, "keeps")])
    rng = np.random.default_rng(10)
    scores = scores_of(rng.normal(size=40), rng.normal(size=(40, 2)))
    holes = scores.copy()
    holes[[0, 4, 5]] = np.nan, np.inf, np.nan
    with collect_notices() as notices:
        rows = measured(table, holes)
    (entry,) = (one for (what, _), one in notices.items() if "no finite score" in what)
    assert entry.ids == ["r0", "r1~bullets~1", "r1~bold~1"]
    missing = row_of(rows, "missing")
    assert (missing["value"], missing["n"]) == (3, 120)
    assert row_of(rows, "effect", perturbation="bullets")["n"] == 38
    assert row_of(rows, "accuracy")["n"] == 19
    kept = table.table.slice(6), scores[6:]
    expected = measured(Responses(kept[0], "t"), kept[1])
    assert row_of(rows, "effect", perturbation="bold")["value"] == pytest.approx(
        row_of(expected, "effect", perturbation="bold")["value"], rel=0.1
    )


def test_without_several_responses_to_a_prompt_the_unit_is_that_between_prompts() -> None:
    table = table_of(list(range(30)), [BULLETS])
    rng = np.random.default_rng(11)
    original = rng.normal(size=30)
    with collect_notices() as notices:
        rows = measured(table, scores_of(original, np.ones((30, 1))))
    assert any("deviation between prompts" in what for what, _ in notices)
    assert row_of(rows, "unit")["value"] == pytest.approx(original.std(ddof=1))
    assert row_of(rows, "effect")["value"] == pytest.approx(1 / original.std(ddof=1))
    assert not rows_of(rows, "accuracy")


def test_a_model_that_scores_all_responses_alike_has_no_unit_and_says_so() -> None:
    table = table_of(pairs_of(12), [BULLETS])
    original = np.repeat(np.linspace(0.1, 0.7, 12), 2)
    with collect_notices() as notices:
        rows = measured(table, scores_of(original, np.full((24, 1), 0.3)))
    assert any("no unit" in what for what, _ in notices)
    effect = row_of(rows, "effect")
    assert effect["value"] is None and effect["verdict"] == "cannot tell"
    assert row_of(rows, "accuracy")["value"] == 0.5


def test_without_labels_there_are_effects_but_no_preferences() -> None:
    table = table_of(pairs_of(12), [BULLETS])
    table = Responses(table.table.drop_columns(["label"]), "table")
    with collect_notices() as notices:
        rows = measured(table, np.random.default_rng(14).normal(size=len(table)))
    assert any("no column 'label'" in what for what, _ in notices)
    assert rows_of(rows, "effect") and not rows_of(rows, "accuracy")


def test_originals_without_a_label_are_named() -> None:
    table = table_of(pairs_of(12), [BULLETS], label=[None, *[0, 1] * 11, 0])
    with collect_notices() as notices:
        rows = measured(table, np.random.default_rng(14).normal(size=len(table)))
    [(what, notice)] = [(key[0], one) for key, one in notices.items()]
    assert what == "no label: in no preference, so in no flips and accuracies"
    assert (notice.count, notice.ids) == (1, ["r0"])
    assert row_of(rows, "accuracy")["n"] == 11 and row_of(rows, "effect")["n"] == 24


def test_the_order_of_rows_changes_no_number() -> None:
    changes = [BULLETS, ("bold", 1, "keeps"), ("bold", 2, "keeps"), ("cut", 1, "worsens")]
    themes, subset = dict.fromkeys(("bullets", "bold", "cut"), "markdown"), ["a", "a", "b", "b"]
    table = table_of(pairs_of(24), changes, themes, subset=subset * 12)
    rng = np.random.default_rng(15)
    # few different scores, so that several changes are the worst one
    scores, order = rng.integers(0, 4, size=len(table)), rng.permutation(len(table))
    first = measured(table, scores)
    second = measured(Responses(table.table.take(order), "table"), scores[order])
    names = ("metric", "subset", "perturbation", "theme", "dose")
    one, two = ({tuple(row[name] for name in names): row for row in rows}
                for rows in (first, second))  # fmt: skip
    assert len(one) == len(first) == len(second) and one.keys() == two.keys()
    for key, row in one.items():
        assert row["member"] == two[key]["member"]
        for column in ("value", "low", "high", "p", "q", "power", "detectable", "length_alone"):
            assert row[column] == pytest.approx(two[key][column]), (key, column)


def test_each_reward_is_corrected_by_itself_and_asking_for_any_dependence_costs_findings() -> None:
    table = table_of(pairs_of(40), [(f"c{k}", 1, "keeps") for k in range(10)])
    rng = np.random.default_rng(16)
    one, two = (scores_of(rng.normal(size=80), rng.normal(size=(80, 10))) for _ in range(2))
    both, alone = measured(table, one, two), measured(table, two)
    pairs = zip(rows_of(both, "effect", model="model-1"), rows_of(alone, "effect"), strict=True)
    assert all(a["q"] == b["q"] for a, b in pairs)
    careful = rows_of(measured(table, two, dependence="any"), "effect")
    for row, other in zip(rows_of(alone, "effect"), careful, strict=True):
        assert other["q"] >= row["q"] and other["detectable"] > row["detectable"]


def damaged(**changes: Any) -> Responses:
    table = table_of(pairs_of(3), [BULLETS]).table
    for name, values in changes.items():
        table = table.set_column(table.schema.get_field_index(name), name, [values])
    return Responses(table, "table")


def test_tables_that_do_not_fit_are_refused_in_a_sentence() -> None:
    good = damaged()
    whole = good.table
    scores = np.zeros(len(good))
    cases = {
        "no column theme": Responses(whole.drop_columns(["theme"]), "table"),
        "no original in the table": Responses(whole.slice(1), "table"),
        "repeat another one's original": damaged(
            perturbation=[""] + ["x"] * 11, dose=[1] * 12, original=["r0"] * 12,
            intention=["keeps"] * 12, theme=["x"] * 12),
        "1 ids have several rows .r0.": Responses(
            pa.concat_tables([whole, whole.slice(0, 1)]), "table"),
        "1 copies have no perturbation .r0~bullets~1": damaged(
            perturbation=["", "", *["", "bullets"] * 5]),
        "two themes or intentions": damaged(intention=["", "keeps"] * 5 + ["", "worsens"]),
        "'dose' must have whole numbers": damaged(dose=[0, 1.5] * 6),
        "'label' must have numbers": damaged(label=["good", "good", "bad", "bad"] * 3),
        "must be one of keeps": damaged(intention=["", "hurts"] * 6),
    }  # fmt: skip
    for message, table in cases.items():
        with pytest.raises(DataError, match=message):
            measured(table, np.zeros(len(table)))
    with pytest.raises(DataError, match="'model' is given twice"):
        Effects().evaluate(good, [reward_of(good, scores)] * 2, seed=1)
    named = Features({"id": good["id"], "a": scores, "b": scores}, "model")
    with pytest.raises(DataError, match="no column 'reward'"):
        Effects().evaluate(good, [named], seed=1)
    short = Features({"id": good["id"].slice(1), "reward": scores[1:]}, "model")
    with pytest.raises(DataError, match="no row for 1 of 12"):
        Effects().evaluate(good, [short], seed=1)
    subset = table_of(pairs_of(3), [BULLETS], subset=["all"] * 6)
    with pytest.raises(DataError, match="called 'all'"):
        measured(subset, scores)
    plain = known_of(small_responses(4))
    ((place, message),) = Effects().mistakes({"data": [plain], "rewards": []})
    assert place == "data" and "no column 'original'" in message


def test_of_a_reward_with_several_outputs_the_one_that_counts_is_measured() -> None:
    table = table_of(pairs_of(6), [BULLETS])
    rng = np.random.default_rng(17)
    columns = {name: rng.normal(size=len(table)) for name in ("reward", "reward.help")}
    reward = Features({"id": table["id"], **columns}, "model")
    rows = Effects().evaluate(table, [reward], seed=1).table.to_pylist()
    assert {row["model"] for row in rows} == {"model"}
    parts = {"id": table["id"], "reward.a": columns["reward"], "reward.b": columns["reward.help"]}
    rows = Effects().evaluate(table, [Features(parts, "model")], seed=1).table.to_pylist()
    assert {row["model"] for row in rows} == {"model.a", "model.b"}


def test_a_model_right_by_construction_passes_the_battery_and_its_damage_is_punished() -> None:
    originals = table_of(pairs_of(40), []).table
    words = "The tower was built in 1889. It is 330 metres high. People like the view of it."
    texts = [f"{words} Number {index}." for index in range(80)]
    names = ["original", "perturbation", "theme", "dose", "intention", "response"]
    plain = originals.drop_columns(names).append_column("response", [texts])
    table = Responses(Perturb().sample(Responses(plain, "r"), seed=1).table, "table")
    rows = table.table.to_pylist()
    drawn = np.random.default_rng(18).normal(size=80)
    quality = dict(zip(plain["id"].to_pylist(), drawn, strict=True))
    costs = {"": 0.0, "keeps": 0.0, "worsens": -1.0, "improves": 1.0}
    scores = np.array([quality[row["original"]] + costs[row["intention"]] for row in rows])
    reacts = np.array([bool(row["perturbation"]) for row in rows])
    false = []
    for seed in range(5):
        noise = 0.1 * reacts * np.random.default_rng(seed).normal(size=len(rows))
        effects = [row for row in rows_of(measured(table, scores + noise), "effect")
                   if row["n"] >= 60]  # fmt: skip
        assert len(effects) > 30
        assert {row["intention"] for row in effects} >= {"keeps", "worsens"}
        assert not [row for row in effects if row["verdict"] == "cannot tell"]
        exploits = [row for row in effects if row["verdict"] == "exploit"]
        assert all(row["intention"] == "keeps" for row in exploits)
        found = [row for row in effects if row["q"] <= 0.05]
        false.append(len(exploits) / len(found))
    assert np.mean(false) <= 0.1


def test_it_keeps_the_promises_of_a_step() -> None:
    table = table_of(pairs_of(6), [BULLETS, ("bullets", 2, "keeps"), ("typos", 1, "worsens")],
                     subset=["a", "a", "b", "b", "a", "a"] * 2)  # fmt: skip
    scores = np.random.default_rng(20).normal(size=len(table))
    check_step(Effects, inputs={"data": table, "rewards": [reward_of(table, scores)]})
