from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split

from rmplug import DataError, Features, Fit, Metrics
from rmplug.data.rows import Memory
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_hybrid import PerformanceModel

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)
REFERENCE = SHARED.parent / "golden/hybrid/07_fullrank"
QUICK = {"folds": 5, "repeats": 2, "splits": 10, "resamples": 200}
WEIGHTS = np.array([4e-4, -3e-4, 0.0, 0.0])


def candidates(rows: int = 60, features: int = 4, seed: int = 0, noise: float = 0.002) -> Features:
    """Sets of 50 to 500 labels; the first two features help and harm, all else is the size."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(50, 500, rows)
    counts = rng.binomial(sizes[:, None], rng.uniform(0.1, 0.9, (rows, features)))
    weights = np.resize(WEIGHTS, features) * (np.arange(features) < 4)
    result = 0.6 + 2e-4 * sizes + counts @ weights + noise * rng.standard_normal(rows)
    columns = {f"count.f{k}": counts[:, k].astype(float) for k in range(features)}
    ids = [f"c{row}" for row in range(rows)]
    return Features({"id": ids, "size": sizes, **columns, "Overall": result}, "candidates")


def fit(data: Features, folder: Path, results=None, seed: int = 0, **params) -> Fit:
    folder.mkdir(exist_ok=True)
    if results is None:
        params.setdefault("column", "Overall")
    step = PerformanceModel(**{**QUICK, **params})
    return step.fit(data, results, seed=seed, directory=folder)


def numbers(found: Fit, model: str | None = None) -> dict[tuple[str, str], dict]:
    rows = [row for row in found.numbers if model is None or row.get("model") == model]
    return {(row["metric"], row["subset"]): row for row in rows if "at" not in row}


def coefficients(found: Fit) -> dict[str, float]:
    table = found.tables["coefficients"].to_pydict()
    return dict(zip(table["feature"], table["coefficient"], strict=True))


def runs(name: str) -> Features:
    """The reference table; rows with a missing number are left out."""
    if not REFERENCE.exists():
        pytest.skip(f"{REFERENCE} is not there")
    table = csv.read_csv(REFERENCE / name)
    kept = [n for n in table.column_names if "::" in n or n in ("Overall", "budget")]
    columns = {n: table[n].combine_chunks().cast(pa.float64()) for n in kept}
    return Features({"id": [str(i) for i in range(table.num_rows)], **columns}, "runs")


def published(folder: str) -> dict[str, float]:
    lines = (REFERENCE / folder / "coef.jsonl").read_text().splitlines()
    return {row["feat"]: row["coef"] for row in map(json.loads, lines)}


def test_least_squares_of_the_published_rule_has_its_coefficients_and_intercept(tmp_path):
    with collect_notices() as notices:
        found = fit(runs("eval_runs.csv"), tmp_path, model="linear", compat="original")
    assert notices["candidates with no count", "dropped"].ids == ["5"]
    own, known = coefficients(found), published("linear")
    assert len(known) == 90
    assert [own[name] for name in known] == pytest.approx(list(known.values()), abs=1e-10)
    intercept = json.loads((REFERENCE / "linear/intercept.json").read_text())["intercept"]
    assert numbers(found)["intercept", "all"]["value"] == pytest.approx(intercept, abs=1e-12)


def test_the_error_and_the_curve_of_the_published_split_are_those_of_scikit_learn(tmp_path):
    data = runs("eval_runs_10cols.csv")
    found = fit(data, tmp_path, model="linear", compat="original")
    known = published("linear_10cols")
    own = coefficients(found)
    assert [own[name] for name in known] == pytest.approx(list(known.values()), abs=1e-10)
    x = np.column_stack([data[name] for name in known])
    x, test, y, target = train_test_split(
        x, np.array(data["Overall"]), test_size=0.2, random_state=42
    )
    errors = []
    for share in (0.25, 0.5, 0.75, 1.0):
        rows = int(len(x) * share)
        predicted = LinearRegression().fit(x[:rows], y[:rows]).predict(test)
        errors.append(float(np.sqrt(((predicted - target) ** 2).mean())))
    curve = {row["at"]: row["value"] for row in found.numbers if "at" in row}
    assert list(curve) == [0.25, 0.5, 0.75, 1.0]
    assert list(curve.values()) == pytest.approx(errors, rel=1e-9)
    assert numbers(found)["mse-of-split", "all"]["value"] == pytest.approx(errors[-1] ** 2)


def test_the_published_quadratic_has_its_terms(tmp_path):
    found = fit(runs("eval_runs_10cols.csv"), tmp_path, model="quadratic", compat="original")
    known = {
        row["term"]: row["coef"]
        for row in json.loads((REFERENCE / "quadratic_10cols/coef.json").read_text())
    }
    constant = known.pop("1")
    table = found.tables["terms"].to_pydict()
    own = dict(zip(table["term"], table["coefficient"], strict=True))
    assert own.keys() == known.keys() and len(own) == 65
    assert [own[name] for name in known] == pytest.approx(list(known.values()), abs=1e-10)
    intercept = json.loads((REFERENCE / "quadratic_10cols/intercept.json").read_text())["intercept"]
    value = numbers(found)["intercept", "all"]["value"]
    assert value == pytest.approx(intercept + constant, abs=1e-10)


@pytest.mark.parametrize("model", ["linear", "quadratic", "lightgbm"])
def test_the_published_models_open_again_and_predict_the_same(tmp_path, model):
    data = candidates(40)
    found = fit(data, tmp_path, model=model, compat="original", splits=1)
    first, again = found.open(), found.open()
    x = data.table.drop_columns(["Overall"])
    assert first.predict(x)["prediction"].tolist() == again.predict(x)["prediction"].tolist()
    assert not [p for p in tmp_path.iterdir() if p.suffix in (".pkl", ".joblib", ".skops")]


@pytest.mark.parametrize("model", ["ridge", "elastic-net", "linear", "quadratic", "lightgbm"])
def test_every_model_does_better_than_the_number_of_labels_where_features_matter(tmp_path, model):
    found = fit(candidates(120), tmp_path, model=model)
    apart = numbers(found, model)
    assert apart["difference", "rmse"]["high"] < 0
    assert apart["difference", "spearman"]["low"] > 0
    assert apart["difference", "rmse"]["other"] == "count-only"
    assert "better than the number of human labels alone" in apart["difference", "rmse"]["sentence"]
    own, size = apart["rmse", "all"], numbers(found, "count-only")["rmse", "all"]
    assert own["value"] - size["value"] == pytest.approx(apart["difference", "rmse"]["value"])
    if model in ("ridge", "elastic-net", "linear"):
        assert own["value"] < 0.004, "close to the noise of 0.002"


@pytest.mark.parametrize("model", ["ridge", "elastic-net", "quadratic"])
def test_features_that_say_nothing_are_said_to_add_nothing(tmp_path, model):
    data = candidates(60, features=30)
    size = np.array(data["size"])
    rng = np.random.default_rng(1)
    result = 0.6 + 2e-4 * size + 0.01 * rng.standard_normal(len(size))
    table = data.table.set_column(data.columns.index("Overall"), "Overall", pa.array(result))
    row = numbers(fit(Features(table), tmp_path, model=model), model)["difference", "rmse"]
    assert row["high"] > 0
    assert "whether routing by them beats routing at random is open" in row["sentence"]
    assert row["value"] < 0.003, "the penalty leads back to the number of labels"


def test_weights_are_results_per_label_and_their_intervals_hold_the_truth(tmp_path):
    found = fit(candidates(150), tmp_path, splits=50)
    table = found.tables["coefficients"].to_pydict()
    assert table["feature"] == ["(any label)", "f0", "f1", "f2", "f3"]
    assert table["coefficient"] == pytest.approx([2e-4, *WEIGHTS], abs=3e-5)
    for truth, low, high in zip([2e-4, *WEIGHTS], table["low"], table["high"], strict=True):
        assert low < truth < high
    assert table["high"][2] < 0 < table["low"][1]


def test_held_out_numbers_are_those_of_the_rows(tmp_path):
    found = fit(candidates(50), tmp_path, repeats=1)
    rows = found.tables["rows"].to_pydict()
    target, predicted = np.array(rows["target"]), np.array(rows["prediction"])
    told = numbers(found, "ridge")
    assert told["rmse", "all"]["value"] == pytest.approx(
        np.sqrt(((target - predicted) ** 2).mean())
    )
    assert told["spearman", "all"]["value"] == pytest.approx(spearmanr(target, predicted)[0])
    alone = numbers(found, "count-only")["spearman", "all"]["value"]
    assert alone == pytest.approx(spearmanr(target, rows["count-only"])[0])
    for row in told.values():
        assert row["low"] <= row["value"] <= row["high"]


def test_prediction_intervals_hold_most_new_results_and_are_not_all_there_is(tmp_path):
    found, new = fit(candidates(100), tmp_path), candidates(1000, seed=5)
    told = found.open().predict(new.table)
    result = np.array(new["Overall"])
    inside = (told["low"] <= result) & (result <= told["high"])
    assert 0.9 < inside.mean() < 0.995
    assert (told["high"] - told["low"]).mean() < 0.25 * np.ptp(result)


def test_results_are_found_by_item_and_averaged_over_seeds(tmp_path):
    data = candidates(20)
    ids, result = data["id"].to_pylist(), np.array(data["Overall"])
    columns: dict[str, list] = {n: [] for n in ("metric", "subset", "value", "model", "kind")}
    items: dict[str, list] = {"item": [], "outer_item": []}
    for shift, seed in ((-0.01, "1"), (0.01, "2")):
        for name, kind, offset in (("proxy", "model", 0.0), ("longer", "baseline", -0.3)):
            columns["metric"] += ["accuracy"] * 20
            columns["subset"] += ["all"] * 20
            columns["value"] += (result + shift + offset).tolist()
            columns["model"] += [name] * 20
            columns["kind"] += [kind] * 20
            items["item"] += [seed] * 20
            items["outer_item"] += ids
    bounds = {"low": [None] * 80, "high": [None] * 80, "n": [100] * 80}
    metrics = Metrics({**columns, **bounds, **items}, "proxies")
    by_item = fit(data, tmp_path / "metrics", metrics)
    by_column = fit(data, tmp_path / "column")
    targets = [one.tables["rows"]["target"].to_pylist() for one in (by_item, by_column)]
    assert targets[0] == pytest.approx(targets[1])
    with pytest.raises(DataError, match="proxies has no metric 'f1'; it has accuracy"):
        fit(data, tmp_path / "none", metrics, metric="f1")
    with pytest.raises(DataError, match="no metric 'acuracy'; did you mean 'accuracy'?"):
        fit(data, tmp_path / "none", metrics, metric="acuracy")
    several = Metrics(metrics.table.drop_columns(["kind"]), "proxies")
    with pytest.raises(DataError, match=r"measures proxy, longer; .*: params: \{result_of: proxy"):
        fit(data, tmp_path / "none", several)
    with pytest.raises(DataError, match="proxies has no model 'x'; it has proxy"):
        fit(data, tmp_path / "none", metrics, result_of="x")
    other = Metrics(metrics.table.drop_columns(["outer_item"]), "proxies")
    with pytest.raises(DataError, match="does not name its items as they are called here"):
        fit(data, tmp_path / "none", other)


def test_candidates_without_a_result_are_dropped_by_name(tmp_path):
    data = candidates(30)
    result = np.array(data["Overall"]).copy()
    result[[3, 7]] = np.nan
    table = data.table.set_column(data.columns.index("Overall"), "Overall", pa.array(result))
    with collect_notices() as notices:
        found = fit(Features(table), tmp_path)
    assert notices["candidates with no result", "dropped"].ids == ["c3", "c7"]
    assert numbers(found)["candidates", "all"]["value"] == 28


def test_bad_candidates_are_refused_with_what_to_write(tmp_path):
    data = candidates(30)
    with pytest.raises(DataError, match="needs at least 10 candidates .* there are 9 of 9"):
        fit(Features(data.table.slice(0, 9)), tmp_path)
    with pytest.raises(DataError, match="no column 'overall'; did you mean 'Overall'.; it has"):
        fit(data, tmp_path, column="overall")
    with pytest.raises(DataError, match="candidates need a column size .or budget."):
        fit(Features(data.table.drop_columns(["size"])), tmp_path)
    with pytest.raises(DataError, match="no column matches words.*"):
        fit(data, tmp_path, include=("words.*",))
    twice = Features(pa.concat_tables([data.table, data.table.slice(4, 1)]))
    with pytest.raises(DataError, match="must have different ids; more than once: c4"):
        fit(twice, tmp_path)
    with pytest.raises(DataError, match="say which column of candidates is the result"):
        fit(data, tmp_path, column=None)


def test_candidates_of_one_size_leave_the_baseline_nothing_to_say(tmp_path):
    data = candidates(60)
    flat = data.table.set_column(1, "size", pa.array(np.full(60, 300.0)))
    with collect_notices() as notices:
        found = fit(Features(flat), tmp_path)
    assert any("all candidates have the same size" in what for what, _ in notices)
    alone = numbers(found, "count-only")
    assert alone["spearman", "all"]["value"] == 0.0
    assert alone["r2", "all"]["value"] == pytest.approx(0.0, abs=1e-9)


def test_performance_model_conforms():
    table = candidates(14).table
    check_step(
        PerformanceModel,
        {"column": "Overall", **QUICK},
        {"candidates": Features(Memory(table), "candidates")},
    )
    check_step(
        PerformanceModel,
        {"column": "Overall", "model": "lightgbm", **QUICK, "splits": 2},
        {"candidates": Features(Memory(table), "candidates")},
    )


def test_features_that_all_pairs_or_none_have_get_no_weight(tmp_path):
    data = candidates(40)
    size = pa.array(np.array(data["size"], dtype=float))
    table = data.table.append_column("count.all", size)
    table = table.append_column("count.none", pa.array(np.zeros(40)))
    for model in ("ridge", "quadratic", "lightgbm"):
        (tmp_path / model).mkdir()
        own = coefficients(fit(Features(table), tmp_path / model, model=model))
        assert abs(own["all"]) < 1e-12 and abs(own["none"]) < 1e-12


def test_of_a_result_that_is_good_when_it_is_low_minus_the_result_is_predicted(tmp_path):
    data = candidates()
    loss = 1 - np.asarray(data["Overall"])
    rows = {"subset": ["all"] * 60, "item": data["id"], "low": loss, "high": loss, "n": [9] * 60}
    results = Metrics({"metric": ["log-loss"] * 60, "value": loss, **rows}, "proxies")
    high = coefficients(fit(data, tmp_path / "a"))
    low = coefficients(fit(data, tmp_path / "b", results, metric="log-loss"))
    asked = coefficients(fit(data, tmp_path / "c", better="lower"))
    turned = coefficients(fit(data, tmp_path / "d", results, metric="log-loss", better="higher"))
    for name in ("f0", "f1"):
        assert low[name] == pytest.approx(high[name])
        assert turned[name] == pytest.approx(-high[name])
        assert asked[name] == pytest.approx(-high[name])
