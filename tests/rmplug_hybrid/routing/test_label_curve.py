"""Accuracy against labels, by the strategy that chose them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rmplug import DataError, Metrics, Selection
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_hybrid import LabelCurve

STRATEGIES = {"name=random,by=random": 0.0, "name=margin,by=margin": 0.05}
SEEDS = ("1", "2", "3")


def value_of(strategy: str, seed: str, round: int) -> float:
    gain = STRATEGIES[strategy] if round > 1 else 0.0
    wiggle = 0.002 * ((int(seed) * ord(strategy[5]) + round * 3) % 7)
    return 0.6 + 0.03 * round + gain + 0.01 * int(seed) + wiggle


def places():
    return [(s, seed, r) for s in STRATEGIES for seed in SEEDS for r in (1, 2, 3)]


def results(**more) -> Metrics:
    each = places()
    columns = {
        "metric": ["accuracy"] * len(each),
        "subset": ["all"] * len(each),
        "value": [value_of(*place) for place in each],
        "low": [None] * len(each),
        "high": [None] * len(each),
        "n": [100] * len(each),
        "model": ["reward"] * len(each),
        "kind": ["model"] * len(each),
        "round": [str(r) for _, _, r in each],
        "item": [s for s, _, _ in each],
        "outer_item": [seed for _, seed, _ in each],
    }
    return Metrics({**columns, **more}, "results")


def chosen(**more) -> Selection:
    """Each round begins with 4 labels more than the one before, and chooses 4."""
    rows = [(*place, k) for place in places() for k in range(4 * place[2] + 4)]
    columns = {
        "id": [f"{n}" for n in range(len(rows))],
        "new": [k >= 4 * r for _, _, r, k in rows],
        "round": [str(r) for _, _, r, _ in rows],
        "item": [s for s, _, _, _ in rows],
        "outer_item": [seed for _, seed, _, _ in rows],
    }
    return Selection({**columns, **more}, "chosen")


def made(results=None, selection=None):
    step, given = LabelCurve(), results or globals()["results"]()
    return step.evaluate(given, selection or chosen()).table.to_pylist()


def rows_of(rows, metric):
    return [row for row in rows if row["metric"] == metric]


def test_points_are_means_over_seeds_at_the_labels_that_a_round_began_with():
    points = rows_of(made(), "accuracy")
    assert [(row["model"], row["at"]) for row in points] == [
        (name, at) for name in ("random", "margin") for at in (4, 8, 12)
    ]
    [row] = [row for row in points if (row["model"], row["at"]) == ("margin", 8)]
    values = [value_of("name=margin,by=margin", seed, 2) for seed in SEEDS]
    assert row["value"] == pytest.approx(np.mean(values))
    half = stats.t.ppf(0.975, 2) * np.std(values, ddof=1) / np.sqrt(3)
    assert (row["low"], row["high"]) == pytest.approx((row["value"] - half, row["value"] + half))
    assert (row["n"], row["axis"], row["subset"]) == (3, "number of labels", "margin at 8 labels")


def test_strategies_are_compared_with_random_seed_by_seed():
    differences = rows_of(made(), "difference")
    assert [row["subset"] for row in differences] == [
        "margin on average",
        "margin at 8 labels",
        "margin at 12 labels",
    ]
    whole = differences[0]
    apart = [
        np.mean([
            value_of("name=margin,by=margin", seed, r) - value_of("name=random,by=random", seed, r)
            for r in (2, 3)
        ])
        for seed in SEEDS
    ]  # fmt: skip
    assert whole["value"] == pytest.approx(np.mean(apart))
    assert whole["p"] == pytest.approx(stats.ttest_1samp(apart, 0).pvalue)
    assert whole["p_holm"] == whole["p"]
    assert whole["sentence"].startswith("margin on average beats random of the same budget: +")
    assert all(row["other"] == "random" for row in differences)


def test_the_order_of_the_loops_does_not_matter():
    turned = {"item": results()["outer_item"], "outer_item": results()["item"]}
    swapped = {"item": chosen()["outer_item"], "outer_item": chosen()["item"]}
    assert made(results(**turned), chosen(**swapped)) == made()


def test_one_seed_gives_points_without_intervals_and_says_so():
    one = results().table.filter(np.array([seed == "1" for _, seed, _ in places()]))
    with collect_notices() as notices:
        rows = made(Metrics(one.drop_columns(["outer_item"])), Selection(chosen_of_one()))
    assert all(row["low"] is None for row in rows)
    [notice] = notices.values()
    assert notice.count == 6 and notice.what.startswith("one result only: no interval")


def chosen_of_one():
    table = chosen().table
    mask = np.array(table["outer_item"].to_pylist()) == "1"
    return table.filter(mask).drop_columns(["outer_item"])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            lambda: made(Metrics(results().table.drop_columns(["round"]), "flat")),
            "flat has no column 'round' and 'item': collect it from a repeat inside a for-each",
        ),
        (
            lambda: made(results(item=["name=margin"] * len(places()))),
            "results has no strategy called 'random' to compare with (items: name=margin, 1, 2, 3)",
        ),
        (
            lambda: made(selection=Selection(chosen().table.drop_columns(["new"]), "picked")),
            "picked has no column 'new'; collect what uncertain or diverse chose",
        ),
        (
            lambda: made(selection=Selection(chosen().table.slice(0, 8))),
            "results has a round that chosen does not have",
        ),
        (
            lambda: made(results(value=[None] * len(places()))),
            "results has no values; measure something else",
        ),
    ],
)
def test_what_makes_no_curve_is_refused(run, message):
    with pytest.raises(DataError) as error:
        run()
    assert str(error.value).startswith(message)


def test_label_curve_conforms():
    check_step(LabelCurve, {}, {"results": results(), "chosen": chosen()})
