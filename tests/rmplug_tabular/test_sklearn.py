from __future__ import annotations

import json
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators
from tabular_data import ROWS, column, keys, values

from rmplug import DataError, Features
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_tabular import Predict, Sklearn
from rmplug_tabular._collinear import sums_of_others
from rmplug_tabular._sklearn_models import estimator_class
from rmplug_text.features import Lexical
from rmplug_text.loaders import Synthetic

QUICK = {"n_estimators": 10, "max_depth": 3}


def test_ridge_finds_the_known_effects_per_standard_deviation(words, state, margin, tmp_path):
    fit = Sklearn(name="Ridge").fit([words, state], margin, seed=1, directory=tmp_path)
    table = fit.tables["coefficients"]
    for feature, effect in (("words.length", 3), ("words.flattery", -1), ("words.noise", 0)):
        low, high = (column(table, "feature", feature, bound) for bound in ("low", "high"))
        assert low - 0.15 < effect < high + 0.15
        assert low < column(table, "feature", feature, "coefficient") < high
    assert "state.v[2]" in table["feature"].to_pylist()
    assert values(fit)["r2"] > 0.95
    assert values(fit)["better-than-chance"] == 1


def test_importance_ranks_features_and_shuffles_a_vector_whole(words, state, margin, tmp_path):
    fit = Sklearn(name="Ridge").fit([words, state], margin, seed=1, directory=tmp_path)
    table = fit.tables["importance"]
    assert table["feature"][0].as_py() == "words.length"
    assert set(table["feature"].to_pylist()[1:3]) == {"words.flattery", "state.v"}
    assert abs(table["importance"][3].as_py()) < 0.01
    assert table.num_rows == 4


def planted_markdown(measures, rows=1200):
    """Features of pairs of which markdown alone moves the reward."""
    pairs = Synthetic(size=rows).load(seed=1)
    words = Lexical(**measures).compute(pairs)
    gap = words["difference.markdown"].to_numpy()
    noise = np.random.default_rng(0).normal(size=rows)
    margin = {"id": pairs["id"], "group": pairs["group"], "margin": np.tanh(gap / 3) + noise}
    return Features(words.table, "words"), Features(margin, "reward")


FEW = {"measures": ("words", "headings", "bullets", "bold", "markdown", "hedges")}


@pytest.mark.parametrize(
    ("name", "measures", "rank"),
    [("LinearRegression", FEW, 1), ("Ridge", FEW, 1), ("Ridge", {}, 3)],
)
def test_a_planted_cause_is_seen_among_features_that_add_up_to_each_other(
    name, measures, rank, tmp_path
):
    words, margin = planted_markdown(measures)
    with collect_notices() as notices:
        step = Sklearn(name=name, dependence=0, refits=30)
        fit = step.fit([words], margin, seed=1, directory=tmp_path)
    shown = fit.tables["importance"].to_pylist()[:rank]
    assert {row["feature"]: row["low"] > 0 for row in shown}["words.difference.markdown"]
    found = fit.tables["coefficients"].to_pandas().set_index("feature")
    assert found.loc["words.difference.markdown", "low"] > 0.2
    told = notices["feature that others add up to", "dropped"].ids
    sides = [one for one in told if one.startswith(("words.chosen.words", "words.rejected.words"))]
    assert len(sides) == 1 and "words.difference.words" in sides[0]
    kept = set(fit.tables["importance"]["feature"].to_pylist())
    assert "words.difference.bullets" not in kept, "here it is the same as markdown"
    assert Predict().compute(fit, [words])["prediction"].null_count == 0


def test_features_that_are_no_sums_stay_and_trees_keep_all(words, state, margin, tmp_path):
    with collect_notices() as notices:
        Sklearn(name="Ridge").fit([words, state], margin, seed=1, directory=tmp_path)
    assert not notices
    twice = Features({**keys(), "a": words["length"], "b": words["length"]}, "twice")
    for name, left in (("Ridge", 1), ("RandomForestRegressor", 2)):
        args = QUICK if name != "Ridge" else {}
        step = Sklearn(name=name, args=args, importance_repeats=1)
        fit = step.fit([twice], margin, seed=1, directory=tmp_path)
        assert fit.tables["importance"].num_rows == left


def test_a_sum_and_a_constant_are_told_by_their_parts():
    a, b = np.random.default_rng(0).normal(size=(2, 50))
    values = np.column_stack([a, np.full(50, 3.0), 2 * a - b + 7, b])
    assert sums_of_others(values, b)[0] == pytest.approx({2: 0.5, 3: 0.5})
    (made,) = sums_of_others(values, 2 * a - b).items()
    assert made[0] in (0, 3)


def test_out_of_fold_rows_give_the_published_numbers(words, margin, tmp_path):
    fit = Sklearn(name="Ridge").fit([words], margin, seed=1, directory=tmp_path)
    rows = fit.tables["rows"].to_pandas()
    assert rows["id"].tolist() == keys()["id"]
    assert values(fit)["r2"] == pytest.approx(r2_score(rows["target"], rows["prediction"]))
    assert values(fit)["mae"] == pytest.approx(
        mean_absolute_error(rows["target"], rows["prediction"])
    )
    pooled = rows["target"].corr(rows["prediction"], method="spearman")
    assert values(fit)["spearman"] == pytest.approx(pooled, abs=1e-3)
    r2 = fit.numbers[0]
    assert r2["low"] < r2["value"] < r2["high"]


def test_rank_correlation_of_few_prompts_is_not_lowered_by_pooling_folds(tmp_path):
    """20 prompts, a pair each: to pool predictions of five models as they are lost .05 of .54."""
    error, pooled, held = [], [], []
    for seed in range(40):
        x, y = planted(np.random.default_rng(seed), 20)
        step = Sklearn(name="Ridge", refits=0, importance_repeats=1, dependence=0)
        fit = step.fit([x], y, seed=1, directory=tmp_path)
        (found,) = (row for row in fit.numbers if row["metric"] == "spearman")
        rows = fit.tables["rows"].to_pandas()
        error.append(found["value"] - 0.543)
        pooled.append(rows["target"].corr(rows["prediction"], method="spearman") - 0.543)
        r2 = fit.numbers[0]
        held.append((r2["low"] <= 0.189 <= r2["high"], found["low"] <= 0.543 <= found["high"]))
    assert np.mean(error) > np.mean(pooled) + 0.02
    assert (np.mean(held, axis=0) >= 0.9).all()


def planted(rng, rows):
    """Features and a target of which fits of 16 prompts explain .189, with rank correlation .543
    (the means over 400 such fits on 5,000 other rows: benchmarks/coverage_fits.py)."""
    x = rng.normal(size=(rows, 6))
    y = x[:, 0] + x[:, 1] / 2 + 1.1 * rng.normal(size=rows)
    ids = {"id": [str(i) for i in range(rows)]}
    columns = {f"x{i}": x[:, i] for i in range(6)}
    return Features({**ids, **columns}, "x"), Features({**ids, "y": y}, "y")


def test_noise_explains_nothing_out_of_fold(words, tmp_path):
    noise = Features({**keys(), "y": np.random.default_rng(9).normal(size=ROWS)}, "noise")
    step = Sklearn(name="RandomForestRegressor", args=QUICK)
    fit = step.fit([words], noise, seed=1, directory=tmp_path)
    assert values(fit)["r2"] < 0.02
    assert values(fit)["better-than-chance"] == 0
    assert values(fit)["mae"] >= values(fit)["mae-of-mean"] * 0.95


def test_rows_of_one_group_never_straddle_folds(margin, tmp_path):
    copies = Features({**keys(), "who": np.repeat(np.arange(ROWS / 2), 2)}, "leak")
    shared = np.repeat(np.random.default_rng(5).normal(size=ROWS // 2), 2)
    target = Features({**keys(), "y": shared}, "reward")
    step = Sklearn(name="KNeighborsRegressor", args={"n_neighbors": 1})
    fit = step.fit([copies], target, seed=1, directory=tmp_path)
    assert values(fit)["r2"] < 0.1, "a twin of the same prompt gave the answer away"


def test_a_linear_fit_is_json_and_equals_scikit_learn(words, margin, tmp_path):
    fit = Sklearn(name="Ridge", args={"alpha": 2.0}).fit(
        [words], margin, seed=1, directory=tmp_path
    )
    assert [file.name for file in tmp_path.iterdir()] == ["fit.json"]
    matrix = np.column_stack([words[name].to_numpy() for name in words.values])
    target = margin["margin"].to_numpy()
    plain = make_pipeline(StandardScaler(), Ridge(alpha=2.0)).fit(matrix, target)
    found = Predict().compute(fit, [words])["prediction"].to_numpy()
    np.testing.assert_allclose(found, plain.predict(matrix), rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("Ridge", {}),
        ("RandomForestRegressor", QUICK),
        ("MLPRegressor", {"max_iter": 20, "hidden_layer_sizes": [8]}),
        ("KNeighborsRegressor", {}),
        ("SVR", {}),
    ],
)
def test_predictions_do_not_depend_on_the_rows_beside(name, args, words, state, margin, tmp_path):
    step = Sklearn(name=name, args=args, importance_repeats=1, refits=0)
    fit = step.fit([words, state], margin, seed=1, directory=tmp_path)
    rows = Predict().compute(fit, [words, state]).rows
    whole = rows.read(0, ROWS)
    pieces = pa.concat_tables([rows.read(0, 1), rows.read(1, 8), rows.read(8, ROWS)])
    assert whole["prediction"].combine_chunks().equals(pieces["prediction"].combine_chunks())


@pytest.mark.parametrize("name", ["LogisticRegression", "LinearSVC", "RandomForestClassifier"])
def test_two_classes_give_auc_beside_the_floors(name, words, margin, tmp_path):
    step = Sklearn(name=name, threshold=0.0, importance_repeats=1, refits=5)
    found = values(step.fit([words], margin, seed=1, directory=tmp_path))
    assert found["auc"] > 0.9
    assert found["accuracy"] > 0.8 > found["accuracy-of-majority"]
    assert ("log-loss" in found) == (name != "LinearSVC")


def test_more_classes_give_a_probability_each(words, margin, tmp_path):
    thirds = np.digitize(margin["margin"].to_numpy(), [-1.0, 1.0]).astype(float)
    target = Features({**keys(), "third": thirds}, "reward")
    step = Sklearn(name="LogisticRegression", importance_repeats=1, refits=0)
    fit = step.fit([words], target, seed=1, directory=tmp_path)
    table = Predict().compute(fit, [words]).table.to_pandas()
    sums = table[["probability.0", "probability.1", "probability.2"]].sum(axis=1)
    np.testing.assert_allclose(sums, 1)
    assert (table["prediction"] == thirds).mean() > 0.8


def test_dependence_of_a_linear_fit_is_a_line_with_its_slope(words, margin, tmp_path):
    fit = Sklearn(name="Ridge").fit([words], margin, seed=1, directory=tmp_path)
    table = fit.tables["dependence"].to_pandas()
    line = table[table["feature"] == "words.length"]
    slopes = np.diff(line["y"]) / np.diff(line["x"])
    np.testing.assert_allclose(slopes, slopes[0])
    assert slopes[0] == pytest.approx(3, abs=0.2)


def test_an_estimator_in_args_is_written_by_name(words, margin, tmp_path):
    members = [["line", {"name": "Ridge"}], ["near", {"name": "KNeighborsRegressor"}]]
    step = Sklearn(name="VotingRegressor", args={"estimators": members}, importance_repeats=1)
    fit = step.fit([words], margin, seed=1, directory=tmp_path)
    assert values(fit)["r2"] > 0.5
    assert len(Predict().compute(fit, [words])["prediction"]) == ROWS


def test_only_scikit_learn_can_be_named():
    with pytest.raises(ValidationError):
        Sklearn(name="os.system")


def test_a_class_is_the_one_that_scikit_learn_lists_by_that_name() -> None:
    listed = dict(all_estimators(type_filter=["regressor", "classifier"]))
    assert listed == {name: estimator_class(name) for name in listed}
    for other in ("Pipeline", "KMeans", "StandardScaler", "GridSearchCV"):
        with pytest.raises(DataError, match="no regressor or classifier"):
            estimator_class(other)


def test_only_what_the_installed_scikit_learn_has_can_be_named() -> None:
    with pytest.raises(ValidationError, match="did you mean 'GradientBoostingRegressor'?"):
        Sklearn(name="GradientBostingRegressor")
    with pytest.raises(ValidationError, match="scikit-learn has no estimator 'Popen'"):
        Sklearn(name="Popen")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"name": "Ridge", "args": {"alfa": 1}},
            "Ridge has no parameter 'alfa'; did you mean 'alpha'?; it has alpha, fit_intercept",
        ),
        (
            {"name": "Ridge", "args": {"alpha": "much"}},
            "Ridge cannot learn from this: The 'alpha' parameter of Ridge must be",
        ),
        (
            {"name": "VotingRegressor"},
            "VotingRegressor needs estimators in args; an estimator is written {name: Ridge",
        ),
        (
            {"name": "LogisticRegression"},
            "the classifier LogisticRegression needs a target of 2 to 20 classes, this one has 300 "
            "values; set threshold to classify whether it is above a number, or name a regressor",
        ),
        (
            {"name": "Ridge", "include": ["wrods.*"]},
            "no feature matches 'wrods.*'; there are words.length, words.flattery, words.noise",
        ),
        (
            {"name": "Ridge", "exclude": ["*"]},
            "no feature is left to learn from; widen include or narrow exclude",
        ),
    ],
)
def test_mistakes_are_told_in_one_sentence(params, message, words, margin, tmp_path):
    with pytest.raises(DataError) as error:
        Sklearn(**params).fit([words], margin, seed=1, directory=tmp_path)
    assert str(error.value).startswith(message)


def _with_gaps(words: Features) -> Features:
    columns = {name: words[name].to_numpy().copy() for name in words.values}
    columns["noise"][[3, 5]] = [np.nan, np.inf]
    return Features({**keys(), **columns}, "words")


def test_missing_values_are_refused_by_name(words, margin, tmp_path):
    with pytest.raises(DataError) as error:
        Sklearn(name="Ridge").fit([_with_gaps(words)], margin, seed=1, directory=tmp_path)
    assert str(error.value) == (
        "2 of 300 rows have missing values in words.noise (2) (ids row-3, row-5); set missing: "
        "drop or missing: impute-median, or leave these columns out"
    )


def test_dropped_rows_are_counted_and_get_no_prediction(words, margin, tmp_path):
    gaps = _with_gaps(words)
    with collect_notices() as notices:
        fit = Sklearn(name="Ridge", missing="drop").fit([gaps], margin, seed=1, directory=tmp_path)
        predicted = Predict().compute(fit, [gaps])["prediction"].to_numpy()
    assert notices["missing feature values", "dropped"].ids == ["row-3", "row-5"]
    assert notices["missing feature values, no prediction", "kept"].ids == ["row-3", "row-5"]
    assert np.flatnonzero(np.isnan(predicted)).tolist() == [3, 5]
    assert fit.tables["rows"].num_rows == ROWS - 2


def test_imputed_rows_are_predicted_with_the_median(words, margin, tmp_path):
    gaps = _with_gaps(words)
    step = Sklearn(name="Ridge", missing="impute-median")
    fit = step.fit([gaps], margin, seed=1, directory=tmp_path)
    assert np.isfinite(Predict().compute(fit, [gaps])["prediction"].to_numpy()).all()
    saved = json.loads((tmp_path / "fit.json").read_text())
    known = np.delete(words["noise"].to_numpy(), [3, 5])
    assert saved["preparation"]["medians"][2] == np.median(known)


def test_a_single_group_is_refused(words, margin, tmp_path):
    few = [table.take([0, 1]) for table in (words, margin)]
    with pytest.raises(DataError, match=r"at least 2 groups .prompts., there are 2 rows of 1"):
        Sklearn(name="Ridge").fit([few[0]], few[1], seed=1, directory=tmp_path)


def test_a_target_without_the_features_rows_is_refused(words, margin, tmp_path):
    with pytest.raises(DataError, match="target has no row for 200 of 300 ids"):
        Sklearn(name="Ridge").fit(
            [words], margin.take(list(range(100))), seed=1, directory=tmp_path
        )


def test_the_target_and_rows_left_out_are_noticed(words, margin, tmp_path):
    both = Features({**keys(), "margin": margin["margin"], "x": words["noise"]}, "reward")
    with collect_notices() as notices:
        fit = Sklearn(name="Ridge").fit(
            [both.take(list(range(290)))], margin, seed=1, directory=tmp_path
        )
    assert notices["the target itself is among the features", "dropped"].ids == ["reward.margin"]
    assert notices["target without features", "dropped"].count == 10
    assert fit.tables["importance"]["feature"].to_pylist() == ["reward.x"]


def test_a_constant_target_is_refused(words, tmp_path):
    flat = Features({**keys(), "y": np.full(ROWS, 2.0)}, "reward")
    with pytest.raises(DataError, match="the target is 2 for all 300 rows: Ridge has nothing"):
        Sklearn(name="Ridge").fit([words], flat, seed=1, directory=tmp_path)


def test_warnings_of_the_library_become_notices(words, margin, tmp_path):
    step = Sklearn(name="MLPRegressor", args={"max_iter": 2}, importance_repeats=1)
    with collect_notices() as notices:
        step.fit([words], margin, seed=1, directory=tmp_path)
    assert any("hasn't converged" in what for what, _ in notices)


def test_a_file_with_foreign_types_is_refused(words, margin, tmp_path):
    step = Sklearn(name="RandomForestRegressor", args=QUICK, importance_repeats=1)
    fit = step.fit([words], margin, seed=1, directory=tmp_path)
    file = tmp_path / "model.skops"
    with zipfile.ZipFile(file) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    schema = json.loads(parts["schema.json"])
    schema["__module__"], schema["__class__"] = "os", "system"
    parts["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(file, "w") as new:
        for name, content in parts.items():
            new.writestr(name, content)
    with pytest.raises(DataError, match=r"holds os\.system, not a type of scikit-learn"):
        fit.open()


@pytest.mark.parametrize(
    "params", [{"name": "Ridge"}, {"name": "ExtraTreesRegressor", "args": QUICK}]
)
def test_conforms(params):
    check_step(Sklearn, params)
