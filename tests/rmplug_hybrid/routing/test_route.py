from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from rmplug import DataError, Features, Fit, Pairs, Selection
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_hybrid import BudgetCurve, PerformanceModel, Route
from rmplug_hybrid.performance._ensemble import FormEnsemble, save_ensemble
from rmplug_hybrid.performance._forms import Frame, PolynomialForm

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)
REFERENCE = SHARED.parent / "golden/hybrid/02_hand12"


def polynomial(linear, pairwise=None, size=(0.5,)) -> PolynomialForm:
    features = len(linear)
    frame = Frame(np.zeros(features), np.ones(features), np.array(size, dtype=float))
    return PolynomialForm(frame, np.array(linear, dtype=float), pairwise)


def fitted(folder: Path, names, whole: PolynomialForm, halves=None) -> Fit:
    """A fit whose form is known; ``halves`` are as if learned on halves of the candidates."""
    folder.mkdir(exist_ok=True)
    made = FormEnsemble(
        "ridge",
        tuple(names),
        whole,
        (whole,),
        np.zeros(3, dtype=int),
        np.full(3, 0.01),
        tuple(halves or (whole, whole)),
        np.zeros((1, len(names))),
        np.zeros(1),
        "accuracy",
    )
    save_ensemble(made, folder)
    return Fit(folder, PerformanceModel, name="model")


def members(matrix, names=None) -> Features:
    matrix = np.asarray(matrix, dtype=float)
    names = names or [f"f{k}" for k in range(matrix.shape[1])]
    columns = {name: matrix[:, k] for k, name in enumerate(names)}
    return Features({"id": [f"p{i}" for i in range(len(matrix))], **columns}, "membership")


def random_members(rows: int = 80, features: int = 5, seed: int = 0) -> Features:
    return members(np.random.default_rng(seed).random((rows, features)) < 0.4)


def chosen(routes: Selection, item: str) -> list[str]:
    return routes.table.filter(pc.equal(routes["item"], item))["id"].to_pylist()


def column(routes: Selection, item: str, name: str) -> list:
    return routes.table.filter(pc.equal(routes["item"], item))[name].to_pylist()


def of_sources(labels: list[tuple[int | None, int | None]]) -> tuple[Pairs, Pairs]:
    """Human and AI labels of pairs p0, p1, …: which response is better, or None for a tie."""
    sources = []
    for side in (0, 1):
        rows = [(i, label[side]) for i, label in enumerate(labels) if label[side] is not None]
        sources.append(
            Pairs(
                {
                    "id": [f"p{i}" for i, _ in rows],
                    "prompt": [f"q{i}" for i, _ in rows],
                    "chosen": [f"{'ab'[label]}{i}" for i, label in rows],
                    "rejected": [f"{'ba'[label]}{i}" for i, label in rows],
                },
                ("human", "ai")[side],
            )
        )
    return sources[0], sources[1]


@pytest.fixture
def hand12(tmp_path) -> tuple[Features, Fit]:
    if not REFERENCE.exists():
        pytest.skip(f"{REFERENCE} is not there")
    with (REFERENCE / "routing_time_binary.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    names = [name for name in rows[0] if name != "id"]
    table = {name: np.array([float(row[name]) for row in rows]) for name in names}
    membership = Features({"id": [row["id"] for row in rows], **table}, "membership")
    weights = [(j + 1) * 1e-4 * (-1) ** j for j in range(len(names))]
    return membership, fitted(tmp_path / "fit", names, polynomial(weights, size=(0.6,)))


def test_gains_and_selections_of_a_known_linear_model_are_the_published_ones(hand12):
    membership, model = hand12
    step = Route(budgets=(0.25, 0.5, 0.75, 1), strategies=("top-k", "exact", "positive-gain"))
    routes = step.sample(membership, model, seed=0)
    known = json.loads((REFERENCE / "selection_known_linear.json").read_text())
    with (REFERENCE / "gain_known_linear_sorted.csv").open() as lines:
        gain = {row["id"]: float(row["gain"]) for row in csv.DictReader(lines)}
    everything = dict(
        zip(chosen(routes, "all human"), column(routes, "all human", "gain"), strict=True)
    )
    assert everything == pytest.approx(gain, rel=1e-9)
    for budget, item in (("0.25", "25 %"), ("0.5", "50 %"), ("0.75", "75 %"), ("1", "100 %")):
        assert set(chosen(routes, f"top-k at {item}")) == set(known["topk_int"][budget])
        assert chosen(routes, f"exact at {item}") == chosen(routes, f"top-k at {item}")
    assert set(chosen(routes, "positive-gain")) == set(known["optimal_pos"])
    assert column(routes, "positive-gain", "value")[0] == pytest.approx(
        0.6 + sum(value for value in gain.values() if value > 0)
    )


def test_random_and_both_ends_stand_beside_every_strategy(tmp_path):
    membership = random_members()
    model = fitted(tmp_path / "fit", membership.values, polynomial([1e-3, 0, 0, -1e-3, 0]))
    routes = Route(budgets=(0.25, 30), draws=2).sample(membership, model, seed=3)
    items = list(dict.fromkeys(routes["item"].to_pylist()))
    assert items == [
        "top-k at 25 %",
        "top-k at 30 labels",
        "all human",
        "all AI",
        "random at 25 %",
        "random at 30 labels",
        "random at 25 % (2)",
        "random at 30 labels (2)",
    ]
    assert len(chosen(routes, "random at 25 %")) == 20
    assert len(set(chosen(routes, "random at 30 labels"))) == 30
    assert chosen(routes, "random at 25 %") != chosen(routes, "random at 25 % (2)")
    assert sorted(chosen(routes, "all human")) == sorted(membership["id"].to_pylist())
    assert chosen(routes, "all AI") == [""]
    assert set(column(routes, "all AI", "budget")) == {0.0}
    assert set(column(routes, "top-k at 30 labels", "budget")) == {0.375}
    assert set(column(routes, "random at 25 %", "strategy")) == {"random"}
    again = Route(budgets=(0.25, 30), draws=2).sample(membership, model, seed=3)
    assert again.table.equals(routes.table)


def test_the_reason_names_the_feature_that_adds_most(tmp_path):
    membership = members([[1, 1], [0, 1], [1, 0], [0, 0]], ["short", "law"])
    model = fitted(tmp_path / "fit", ["law", "short"], polynomial([1e-3, 2e-3]))
    routes = Route(budgets=(1,)).sample(membership, model, seed=0)
    told = dict(
        zip(
            chosen(routes, "top-k at 100 %"),
            column(routes, "top-k at 100 %", "reason"),
            strict=True,
        )
    )
    assert told == {
        "p0": "highest gain; most for short",
        "p2": "highest gain; most for short",
        "p1": "highest gain; most for law",
        "p3": "highest gain",
    }
    assert column(routes, "top-k at 100 %", "gain") == pytest.approx([3e-3, 2e-3, 1e-3, 0])


def test_a_label_is_bought_whatever_it_turns_out_to_say(tmp_path):
    labels = [(0, 0), (0, 1), (None, 1), (1, None), (None, None)]
    human, ai = of_sources(labels)
    membership = members(np.ones((5, 1)))
    model = fitted(tmp_path / "fit", ["f0"], polynomial([1e-3]))
    with collect_notices() as notices:
        routes = Route(budgets=(5,)).sample(membership, model, human, ai, seed=0)
    assert not notices, "what was bought is a result, and nothing odd"
    assert column(routes, "top-k at 5 labels", "outcome") == [
        "agrees with the AI label",
        "changes the label",
        "the human has no preference: drops out",
        "only the human has a preference: comes in",
        "no preference in either",
    ]
    told = BudgetCurve().evaluate(routes).table.to_pylist()
    cells = {(row["row"], row["column"]): row for row in told if row["metric"] == "share-of-labels"}
    assert cells["top-k at 5 labels", "changes the label"]["value"] == pytest.approx(0.2)
    assert cells["all human", "tie of both"]["n"] == 5


def test_what_a_model_chose_is_valued_by_one_that_did_not(tmp_path):
    """Two halves that know nothing but noise: each likes its own choice, the other does not."""
    rng = np.random.default_rng(0)
    membership = random_members(400, 8)
    halves = [polynomial(1e-4 * rng.standard_normal(8)) for _ in range(80)]
    model = fitted(tmp_path / "fit", membership.values, halves[0], halves)
    routes = Route(budgets=(0.25,)).sample(membership, model, seed=0)
    value, naive = (column(routes, "top-k at 25 %", n)[0] for n in ("value", "value.naive"))
    random = column(routes, "random at 25 %", "value")[0]
    assert naive > 0.5 + 0.01
    assert abs(value - random) < 0.005
    low, high = (column(routes, "top-k at 25 %", f"value.{n}")[0] for n in ("low", "high"))
    assert low < value < high


def quadratic() -> PolynomialForm:
    """The first two features are worth something together only, and less and less of it."""
    pairwise = np.array([[-2.0, 3.0, 0], [3.0, -2.0, 0], [0, 0, -0.1]]) * 1e-5
    return polynomial([0, 0, 1e-5], pairwise)


def test_greedy_goes_beyond_single_gains_where_features_interact(tmp_path):
    rng = np.random.default_rng(0)
    membership = members(np.eye(3)[rng.integers(0, 3, 300)])
    model = fitted(tmp_path / "fit", membership.values, quadratic())
    routes = Route(budgets=(0.3,), strategies=("greedy", "top-k"), rounds=500).sample(
        membership, model, seed=0
    )
    greedy, top, random = (
        column(routes, f"{name} at 30 %", "value.naive")[0]
        for name in ("greedy", "top-k", "random")
    )
    assert greedy > top + 0.01 and greedy > random + 0.005
    matrix = np.column_stack([membership[name] for name in membership.values])
    ids = membership["id"].to_pylist()
    picked = matrix[[ids.index(name) for name in chosen(routes, "greedy at 30 %")]].sum(axis=0)
    assert abs(picked[0] - picked[1]) <= 2, "the two that help each other, in equal parts"


def test_greedy_is_top_k_for_a_linear_model_and_exact_is_refused_for_others(tmp_path):
    membership = random_members()
    names = membership.values
    linear = fitted(tmp_path / "linear", names, polynomial(np.arange(5) * 1e-3))
    routes = Route(budgets=(0.5,), strategies=("greedy", "top-k")).sample(
        membership, linear, seed=0
    )
    assert set(chosen(routes, "greedy at 50 %")) == set(chosen(routes, "top-k at 50 %"))
    other = fitted(tmp_path / "quadratic", names, polynomial(np.arange(5), np.eye(5)))
    with pytest.raises(DataError, match="exact optimum is known for linear models only"):
        Route(strategies=("exact",)).sample(membership, other, seed=0)


def test_diverse_takes_less_gain_for_more_even_features(tmp_path):
    membership = random_members(400)
    model = fitted(tmp_path / "fit", membership.values, polynomial([4e-3, 1e-3, 0, 0, 0]))
    step = Route(budgets=(0.25,), strategies=("top-k", "diverse"), diversity=3.0)
    routes = step.sample(membership, model, seed=0)
    matrix = np.column_stack([membership[name] for name in membership.values])
    ids = membership["id"].to_pylist()

    def share(item: str) -> float:
        return matrix[[ids.index(name) for name in chosen(routes, item)], 0].mean()

    assert share("top-k at 25 %") == 1.0
    assert share("random at 25 %") < share("diverse at 25 %") < 0.9
    gain = {item: sum(column(routes, item, "gain")) for item in set(routes["item"].to_pylist())}
    assert gain["random at 25 %"] < gain["diverse at 25 %"] < gain["top-k at 25 %"]


def test_cost_aware_spends_the_money_and_gets_more_for_it(tmp_path):
    rng = np.random.default_rng(0)
    membership = random_members(200)
    price = rng.uniform(1, 10, 200)
    costs = Features({"id": membership["id"], "price": price}, "costs")
    model = fitted(tmp_path / "fit", membership.values, polynomial(np.arange(5) * 1e-3))
    routes = Route(budgets=(0.25,), strategies=("cost-aware",)).sample(
        membership, model, None, None, costs, seed=0
    )
    money = 0.25 * price.sum()
    for item in ("cost-aware at 25 %", "random by cost at 25 %"):
        spent = sum(column(routes, item, "cost"))
        assert money - 10 < spent <= money * (1 + 1e-9)
    own, random = (
        sum(column(routes, f"{name} at 25 %", "gain")) for name in ("cost-aware", "random by cost")
    )
    assert own > 1.5 * random
    with pytest.raises(DataError, match="cost-aware needs the cost of each pair's label"):
        Route(strategies=("cost-aware",)).sample(membership, model, seed=0)
    free = Features({"id": membership["id"], "price": np.append(price[1:], 0.0)}, "costs")
    with pytest.raises(DataError, match=r"1 pairs have no such cost \(p199\)"):
        Route(strategies=("cost-aware",)).sample(membership, model, None, None, free, seed=0)


def test_simulated_is_the_best_of_its_random_sets(tmp_path):
    membership = random_members(120)
    model = fitted(tmp_path / "fit", membership.values, polynomial([1e-3, 0, 0, 0, -1e-3]))
    few, many = (
        Route(budgets=(0.25,), strategies=("simulated",), simulations=n).sample(
            membership, model, seed=0
        )
        for n in (3, 200)
    )
    naive = [column(r, "simulated at 25 %", "value.naive")[0] for r in (few, many)]
    assert naive[0] < naive[1]
    best = Route(budgets=(0.25,)).sample(membership, model, seed=0)
    assert naive[1] <= column(best, "top-k at 25 %", "value.naive")[0]
    assert len(set(chosen(many, "simulated at 25 %"))) == 30


def test_positive_gain_stops_where_more_labels_cost_more_than_they_add(tmp_path):
    membership = members(np.eye(2)[[0] * 30 + [1] * 70])
    model = fitted(tmp_path / "fit", ["f0", "f1"], polynomial([3e-3, 0], size=(0.5, 1e-3, -2e-5)))
    routes = Route(budgets=(0.5,), strategies=("positive-gain",)).sample(membership, model, seed=0)
    assert len(chosen(routes, "positive-gain")) == 30
    assert len(chosen(routes, "random at 30 labels")) == 30
    harmful = fitted(tmp_path / "harm", ["f0", "f1"], polynomial([-1e-3, -1e-3]))
    routes = Route(budgets=(0.5,), strategies=("positive-gain",)).sample(
        membership, harmful, seed=0
    )
    assert chosen(routes, "positive-gain") == [""]


def test_budgets_are_shares_or_whole_numbers(tmp_path):
    membership = random_members(100)
    model = fitted(tmp_path / "fit", membership.values, polynomial(np.ones(5)))
    routes = Route(budgets=(0.29,)).sample(membership, model, seed=0)
    assert len(chosen(routes, "top-k at 29 %")) == 29, "0.29 * 100 is 28.999… in floating point"
    with pytest.raises(DataError, match="a budget of 101 labels is more than the 100 pairs"):
        Route(budgets=(101,)).sample(membership, model, seed=0)
    with pytest.raises(DataError, match="a budget of 0.001 buys no label of 100 pairs"):
        Route(budgets=(0.001,)).sample(membership, model, seed=0)
    with pytest.raises(ValidationError, match="a share up to 1 or a whole number of labels"):
        Route(budgets=(1.5,))
    with pytest.raises(ValidationError, match="one of them is there twice"):
        Route(budgets=(0.5, 0.5))


def test_other_features_than_the_model_knows_are_refused_or_told(tmp_path):
    membership = random_members()
    model = fitted(tmp_path / "fit", ["f0", "law"], polynomial([1, 1]))
    with pytest.raises(DataError, match=r"membership lacks 1 of them \(law\)"):
        Route().sample(membership, model, seed=0)
    some_of = fitted(tmp_path / "some", ["f3", "f1"], polynomial([1e-3, 2e-3]))
    with collect_notices() as notices:
        routes = Route().sample(membership, some_of, seed=0)
    unknown = notices["features that the performance model does not know", "dropped"]
    assert unknown.ids == ["f0", "f2", "f4"]
    gain = dict(zip(chosen(routes, "all human"), column(routes, "all human", "gain"), strict=True))
    expected = 2e-3 * np.array(membership["f1"]) + 1e-3 * np.array(membership["f3"])
    assert [gain[name] for name in membership["id"].to_pylist()] == pytest.approx(expected.tolist())


def test_trees_route_by_the_feature_they_have_learned(tmp_path):
    rng = np.random.default_rng(0)
    membership = random_members(300, 4)
    matrix = np.column_stack([membership[name] for name in membership.values])
    picks = [rng.random(300) < rng.uniform(0.1, 0.9, 4) @ matrix.T / 4 + 0.1 for _ in range(150)]
    counts = np.array([matrix[pick].sum(axis=0) for pick in picks])
    columns = {f"count.f{k}": counts[:, k] for k in range(4)}
    result = 0.6 + 1e-3 * counts[:, 2]
    ids = [f"c{i}" for i in range(150)]
    sizes = np.array([pick.sum() for pick in picks])
    data = Features({"id": ids, "size": sizes, **columns, "score": result}, "candidates")
    folder = tmp_path / "fit"
    folder.mkdir()
    step = PerformanceModel(model="lightgbm", column="score", repeats=1, splits=2, resamples=100)
    model = step.fit(data, None, seed=0, directory=folder)
    routes = Route(budgets=(0.25,), strategies=("top-k", "greedy"), rounds=20).sample(
        membership, model, seed=0
    )
    ids = membership["id"].to_pylist()
    for item in ("top-k at 25 %", "greedy at 25 %"):
        picked = matrix[[ids.index(name) for name in chosen(routes, item)]]
        assert picked[:, 2].mean() > 0.9
    with pytest.raises(DataError, match="this one is lightgbm: use greedy"):
        Route(strategies=("exact",)).sample(membership, model, seed=0)


def test_route_conforms(tmp_path):
    membership = random_members(8, 2)
    model = fitted(tmp_path / "fit", membership.values, polynomial([1e-3, 2e-3]))
    human, ai = of_sources([(0, 1)] * 8)
    check_step(
        Route,
        {"strategies": ["top-k", "diverse", "simulated"], "simulations": 5},
        {"membership": membership, "model": model, "human": human, "ai": ai},
    )


def test_pairs_that_neither_source_knows_are_no_rows_that_vanish(tmp_path):
    human, ai = of_sources([(0, 1), (1, 1)])
    membership = members(np.ones((3, 1)))
    model = fitted(tmp_path / "fit", ["f0"], polynomial([1e-3]))
    routes = Route(budgets=(1,)).sample(membership, model, human, ai, seed=0)
    assert pa.table({"id": chosen(routes, "all human")})["id"].to_pylist() == ["p0", "p1", "p2"]


def test_a_model_whose_features_say_nothing_is_told_with_its_routes(tmp_path):
    membership = random_members(100, 4)
    matrix = np.column_stack([membership[name] for name in membership.values])
    rng = np.random.default_rng(0)
    picks = [rng.random(100) < rng.random() for _ in range(40)]
    counts = np.array([matrix[pick].sum(axis=0) for pick in picks])
    sizes = np.array([float(pick.sum()) for pick in picks])
    columns = {f"count.{name}": counts[:, k] for k, name in enumerate(membership.values)}
    score = 0.5 + 1e-3 * sizes + 0.01 * rng.standard_normal(40)
    ids = [f"c{i}" for i in range(40)]
    data = Features({"id": ids, "size": sizes, **columns, "score": score}, "candidates")
    (tmp_path / "fit").mkdir()
    model = PerformanceModel(column="score").fit(data, None, seed=0, directory=tmp_path / "fit")
    with collect_notices() as notices:
        Route().sample(membership, model, seed=0)
    assert any(
        what.endswith("whether routing by them beats routing at random is open")
        for what, _ in notices
    )
