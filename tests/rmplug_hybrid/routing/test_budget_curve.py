from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rmplug import DataError, Metrics, Selection
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_hybrid import BudgetCurve

ROUTES = {
    "top-k at 25 %": ("top-k", 0.25),
    "top-k at 50 %": ("top-k", 0.5),
    "random at 25 %": ("random", 0.25),
    "random at 25 % (2)": ("random", 0.25),
    "random at 50 %": ("random", 0.5),
    "random at 50 % (2)": ("random", 0.5),
    "all human": ("all human", 1.0),
    "all AI": ("all AI", 0.0),
}
SEEDS = ("1", "2", "3", "4")


PREDICTED = {"top-k": 0.72, "random": 0.68, "all human": 0.7, "all AI": 0.6}
OUTCOME = ("agrees with the AI label", "changes the label", "no preference in either")


def routes(**more) -> Selection:
    """Four rows for each route, one for all AI; random draws differ by 0.01 in what they are
    predicted to reach. Half of the labels of top-k change, a quarter of the others."""
    items = [item for item in ROUTES for _ in range(1 if item == "all AI" else 4)]
    value = np.array([PREDICTED[ROUTES[item][0]] + 0.01 * item.endswith("(2)") for item in items])
    changed = {"top-k": (0, 1, 1, 0), "all AI": ("none",)}
    columns = {
        "id": [f"{item}/{row}" for row, item in enumerate(items)],
        "item": items,
        "strategy": [ROUTES[item][0] for item in items],
        "result": ["accuracy"] * len(items),
        "budget": [ROUTES[item][1] for item in items],
        "size": [0.0 if item == "all AI" else 4.0 for item in items],
        "value": value,
        "value.low": value - 0.02,
        "value.high": value + 0.03,
        "value.naive": value + 0.05,
        "outcome": [
            OUTCOME[code] if code != "none" else "none"
            for item in ROUTES
            for code in changed.get(ROUTES[item][0], (0, 1, 2, 2))
        ],
    }
    return Selection({**columns, **more}, "routes")


def value_of(item: str, seed: str) -> float:
    base = {"top-k": 0.7, "random": 0.6, "all human": 0.65, "all AI": 0.5}[ROUTES[item][0]]
    wiggle = 0.002 * (sum(map(ord, item)) % 5) * (int(seed) - 2)
    return base + 0.1 * ROUTES[item][1] + 0.01 * int(seed) + wiggle


def metrics(seeds=SEEDS, items=tuple(ROUTES), swap: bool = False) -> Metrics:
    cells = [(item, seed) for seed in seeds for item in items]
    names = ("outer_item", "item") if swap else ("item", "outer_item")
    columns = {
        "metric": ["accuracy"] * len(cells),
        "subset": ["all"] * len(cells),
        "value": [value_of(item, seed) for item, seed in cells],
        "low": [None] * len(cells),
        "high": [None] * len(cells),
        "n": [100] * len(cells),
        names[0]: [item for item, _ in cells],
    }
    if len(seeds) > 1:
        columns[names[1]] = [seed for _, seed in cells]
    return Metrics(columns, "trained")


def rows(found: Metrics, **wanted) -> list[dict]:
    listed = found.table.to_pylist()
    return [row for row in listed if all(row[key] == value for key, value in wanted.items())]


def test_a_curve_goes_from_all_ai_over_the_budgets_to_all_human():
    found = BudgetCurve().evaluate(routes(), metrics())
    for strategy, kind in (("top-k", "model"), ("random", "baseline")):
        own = rows(found, metric="accuracy", model=strategy)
        assert [row["at"] for row in own] == [0.0, 0.25, 0.5, 1.0]
        assert {row["kind"] for row in own} == {kind}
        assert own[0]["subset"] == "all AI" and own[-1]["subset"] == "all human"
        assert {row["axis"] for row in own} == {"share of human labels"}
    assert found.columns == list(BudgetCurve().foresee({}).columns)


def test_a_point_is_the_mean_over_seeds_with_a_t_interval():
    found = BudgetCurve().evaluate(routes(), metrics())
    (row,) = rows(found, metric="accuracy", model="top-k", at=0.25)
    values = np.array([value_of("top-k at 25 %", seed) for seed in SEEDS])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert (row["value"], row["low"], row["high"]) == pytest.approx((values.mean(), low, high))
    assert row["n"] == 4


def test_draws_of_random_are_averaged_within_a_seed():
    found = BudgetCurve().evaluate(routes(), metrics())
    (row,) = rows(found, metric="accuracy", model="random", at=0.25)
    draws = ("random at 25 %", "random at 25 % (2)")
    by_seed = [np.mean([value_of(item, seed) for item in draws]) for seed in SEEDS]
    assert row["value"] == pytest.approx(np.mean(by_seed))
    assert row["n"] == 4 and row["subset"] == "random at 25 %"


def test_the_difference_to_random_is_paired_by_seed_and_corrected_for_their_number():
    found = rows(BudgetCurve().evaluate(routes(), metrics()), metric="difference")
    assert [row["subset"] for row in found] == ["top-k at 25 %", "top-k at 50 %"]
    draws = ("random at 25 %", "random at 25 % (2)")
    apart = [
        value_of("top-k at 25 %", seed) - np.mean([value_of(item, seed) for item in draws])
        for seed in SEEDS
    ]
    row = found[0]
    assert row["value"] == pytest.approx(np.mean(apart))
    assert row["p"] == pytest.approx(stats.ttest_1samp(apart, 0).pvalue)
    assert row["p_holm"] >= row["p"] and row["other"] == "random" and row["at"] is None
    beats = f"top-k at 25 % beats random of the same budget: +{100 * np.mean(apart):.1f} points of "
    assert row["sentence"].startswith(beats + "accuracy (95 % +")
    assert row["sentence"].endswith("4 seeds; corrected p < 0.001).")
    for row in found:
        assert (" beats " in row["sentence"]) == (row["p_holm"] < 0.05)


def test_seeds_may_be_the_inner_or_the_outer_loop():
    inner, outer = (
        BudgetCurve().evaluate(routes(), metrics(swap=swap)).table for swap in (False, True)
    )
    assert inner.equals(outer)


def test_one_seed_gives_points_and_no_interval_but_for_draws():
    with collect_notices() as notices:
        found = BudgetCurve().evaluate(routes(), metrics(seeds=("1",)))
    (top,) = rows(found, metric="accuracy", model="top-k", at=0.25)
    (random,) = rows(found, metric="accuracy", model="random", at=0.25)
    assert top["low"] is None and top["n"] == 1
    assert random["low"] is not None and random["n"] == 2
    told = notices["one result only: no interval; repeat the loop over seeds", "kept"]
    assert set(told.ids) == {"top-k at 25 %", "top-k at 50 %", "all human", "all AI"}
    apart = rows(found, metric="difference")
    assert all("one seed only: no interval" in row["sentence"] for row in apart)


def test_routes_without_a_result_are_told_and_unknown_results_refused():
    items = [item for item in ROUTES if item != "top-k at 50 %"]
    with collect_notices() as notices:
        found = BudgetCurve().evaluate(routes(), metrics(items=items))
    assert notices["routes without a result", "dropped"].ids == ["top-k at 50 %"]
    assert not rows(found, metric="accuracy", subset="top-k at 50 %")
    assert rows(found, metric="predicted-accuracy", subset="top-k at 50 %")
    other = Metrics(metrics(seeds=("1",)).table.drop_columns(["item"]), "trained")
    with pytest.raises(DataError, match="trained does not name its items"):
        BudgetCurve().evaluate(routes(), other)
    with pytest.raises(DataError, match="routes has no column 'strategy'; give what the step"):
        BudgetCurve().evaluate(Selection(routes().table.drop_columns(["strategy"]), "routes"))
    with pytest.raises(DataError, match="routes has no rows: there is no route to tell of"):
        BudgetCurve().evaluate(Selection(routes().table.slice(0, 0), "routes"))


def test_without_results_it_tells_what_is_predicted_and_what_was_bought():
    found = BudgetCurve().evaluate(routes())
    assert set(found["metric"].to_pylist()) == {"predicted-accuracy", "bought", "share-of-labels"}
    for strategy, kind in (("top-k", "model"), ("random", "baseline")):
        own = rows(found, metric="predicted-accuracy", model=strategy)
        assert [row["at"] for row in own] == [0.0, 0.25, 0.5, 1.0]
        assert [row["n"] for row in own] == [0, 4, 4, 4]
        assert {row["kind"] for row in own} == {kind}
    (top,) = rows(found, metric="predicted-accuracy", subset="top-k at 25 %")
    assert (top["value"], top["low"], top["high"]) == pytest.approx((0.72, 0.70, 0.75))
    assert top["sentence"] == (
        "top-k at 25 % is predicted to reach 0.7200 (0.7000 to 0.7500 over halves of the "
        "candidates) in accuracy, by models that did not choose it; random labels of that number "
        "reach 0.6850. The model that chose it says 0.7700."
    )
    bought = {row["subset"]: row["value"] for row in rows(found, metric="bought")}
    assert bought == {name: 4 for name in ROUTES if name != "all AI" and "(2)" not in name}
    assert {row["n"] for row in rows(found, metric="bought", subset="top-k at 25 %")} == {16}


def test_several_random_draws_are_predicted_as_one():
    (random,) = rows(
        BudgetCurve().evaluate(routes()), metric="predicted-accuracy", model="random", at=0.25
    )
    assert random["subset"] == "random at 25 %" and random["sentence"] is None
    assert (random["value"], random["low"]) == pytest.approx((0.685, 0.665))


def test_what_bought_labels_do_is_a_matrix_beside_what_all_of_them_would():
    found = rows(BudgetCurve().evaluate(routes()), metric="share-of-labels")
    cells = {(row["row"], row["column"]): row for row in found}
    assert len(cells) == len(found) == 5 * 3, "routes that buy labels, outcomes that occur"
    changed = cells["top-k at 25 %", "changes the label"]
    assert (changed["value"], changed["n"]) == (0.5, 4)
    assert changed["sentence"] == (
        "Of the 4 labels that top-k at 25 % buys, 2 (50.0 %) change the AI's; of all pairs, "
        "25.0 % would."
    )
    assert cells["all human", "tie of both"]["value"] == 0.5
    assert cells["top-k at 50 %", "tie of both"]["value"] == 0
    told = {row["row"] for row in found if row["sentence"]}
    assert told == {"top-k at 25 %", "top-k at 50 %"}


def test_labels_that_cost_money_are_summed_and_outcomes_may_be_unknown():
    table = routes(cost=np.arange(29.0)).table.drop_columns(["outcome"])
    found = BudgetCurve().evaluate(Selection(table, "routes"))
    (top,) = rows(found, metric="cost", subset="top-k at 25 %")
    assert top["value"] == 0 + 1 + 2 + 3 and top["n"] == 16
    (random,) = rows(found, metric="cost", subset="random at 25 %")
    assert random["value"] == pytest.approx((8 + 9 + 10 + 11 + 12 + 13 + 14 + 15) / 2)
    assert not rows(found, metric="share-of-labels")


def test_two_results_of_one_route_and_seed_are_refused():
    table = metrics(seeds=("1",)).table
    import pyarrow as pa

    twice = Metrics(pa.concat_tables([table, table.slice(0, 1)]), "trained")
    with pytest.raises(DataError, match="trained has more than one accuracy for 'top-k at 25 %'"):
        BudgetCurve().evaluate(routes(), twice)


def test_budget_curve_conforms():
    check_step(BudgetCurve, {}, {"routes": routes(), "results": metrics()})
    check_step(BudgetCurve, {}, {"routes": routes()})
