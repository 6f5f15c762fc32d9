from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rmplug import DataError, Metrics, Selection
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_hybrid import BudgetCurve
from rmplug_hybrid._budget_curve import holm

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


def routes() -> Selection:
    """Two rows for each route."""
    items = [item for item in ROUTES for _ in range(2)]
    columns = {
        "id": [f"{item}/{row}" for item in ROUTES for row in range(2)],
        "item": items,
        "strategy": [ROUTES[item][0] for item in items],
        "budget": [ROUTES[item][1] for item in items],
    }
    return Selection(columns, "routes")


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
    found = BudgetCurve().evaluate(metrics(), routes())
    for strategy, kind in (("top-k", "model"), ("random", "baseline")):
        own = rows(found, metric="accuracy", model=strategy)
        assert [row["at"] for row in own] == [0.0, 0.25, 0.5, 1.0]
        assert {row["kind"] for row in own} == {kind}
        assert own[0]["subset"] == "all AI" and own[-1]["subset"] == "all human"
        assert {row["axis"] for row in own} == {"share of human labels"}
    assert found.columns == list(BudgetCurve().columns({}))


def test_a_point_is_the_mean_over_seeds_with_a_t_interval():
    (row,) = rows(BudgetCurve().evaluate(metrics(), routes()), model="top-k", at=0.25)
    values = np.array([value_of("top-k at 25 %", seed) for seed in SEEDS])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert (row["value"], row["low"], row["high"]) == pytest.approx((values.mean(), low, high))
    assert row["n"] == 4


def test_draws_of_random_are_averaged_within_a_seed():
    (row,) = rows(BudgetCurve().evaluate(metrics(), routes()), model="random", at=0.25)
    draws = ("random at 25 %", "random at 25 % (2)")
    by_seed = [np.mean([value_of(item, seed) for item in draws]) for seed in SEEDS]
    assert row["value"] == pytest.approx(np.mean(by_seed))
    assert row["n"] == 4 and row["subset"] == "random at 25 %"


def test_the_difference_to_random_is_paired_by_seed_and_corrected_for_their_number():
    found = rows(BudgetCurve().evaluate(metrics(), routes()), metric="difference")
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
    assert row["sentence"].startswith("top-k at 25 % beats random of the same budget: +0.")
    assert f"4 seeds; corrected p = {row['p_holm']:.3f})" in row["sentence"]
    for row in found:
        assert (" beats " in row["sentence"]) == (row["p_holm"] < 0.05)


def test_seeds_may_be_the_inner_or_the_outer_loop():
    inner, outer = (
        BudgetCurve().evaluate(metrics(swap=swap), routes()).table for swap in (False, True)
    )
    assert inner.equals(outer)


def test_one_seed_gives_points_and_no_interval_but_for_draws():
    with collect_notices() as notices:
        found = BudgetCurve().evaluate(metrics(seeds=("1",)), routes())
    (top,) = rows(found, model="top-k", at=0.25)
    (random,) = rows(found, model="random", at=0.25)
    assert top["low"] is None and top["n"] == 1
    assert random["low"] is not None and random["n"] == 2
    told = notices["one result only: no interval; repeat the loop over seeds", "kept"]
    assert set(told.ids) == {"top-k at 25 %", "top-k at 50 %", "all human", "all AI"}
    apart = rows(found, metric="difference")
    assert all("one seed only: no interval" in row["sentence"] for row in apart)


def test_routes_without_a_result_are_told_and_unknown_results_refused():
    items = [item for item in ROUTES if item != "top-k at 50 %"]
    with collect_notices() as notices:
        found = BudgetCurve().evaluate(metrics(items=items), routes())
    assert notices["routes without a result", "dropped"].ids == ["top-k at 50 %"]
    assert not rows(found, subset="top-k at 50 %")
    other = Metrics(metrics(seeds=("1",)).table.drop_columns(["item"]), "trained")
    with pytest.raises(DataError, match="trained does not name its items"):
        BudgetCurve().evaluate(other, routes())
    with pytest.raises(DataError, match="routes has no column 'strategy'; give what the step"):
        BudgetCurve().evaluate(
            metrics(), Selection(routes().table.drop_columns(["strategy"]), "routes")
        )


def test_two_results_of_one_route_and_seed_are_refused():
    table = metrics(seeds=("1",)).table
    import pyarrow as pa

    twice = Metrics(pa.concat_tables([table, table.slice(0, 1)]), "trained")
    with pytest.raises(DataError, match="trained has more than one accuracy for 'top-k at 25 %'"):
        BudgetCurve().evaluate(twice, routes())


def test_holm_multiplies_the_smallest_by_their_number_and_never_goes_down():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_budget_curve_conforms():
    check_step(BudgetCurve, {}, {"results": metrics(), "routes": routes()})
