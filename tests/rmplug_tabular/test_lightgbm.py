from __future__ import annotations

import numpy as np
import pytest
from tabular_data import ROWS, column, keys, values

from rmplug import DataError, Features
from rmplug.testing import check_step
from rmplug_tabular import LightGBM, Predict

QUICK = {"rounds": 30, "importance_repeats": 1, "dependence": 1}


def test_shap_values_add_up_to_the_prediction(words, state, margin, tmp_path):
    fit = LightGBM(**QUICK).fit([words, state], margin, seed=1, directory=tmp_path)
    shap = fit.tables["shap"].to_pandas()
    assert shap.columns.tolist() == [
        "id",
        "base",
        "words.length",
        "words.flattery",
        "words.noise",
        "state.v",
    ]
    predicted = Predict().compute(fit, [words, state])["prediction"].to_numpy()
    np.testing.assert_allclose(shap.drop(columns="id").sum(axis=1), predicted, atol=1e-9)


def test_importance_is_the_mean_of_absolute_shap_values(words, margin, tmp_path):
    fit = LightGBM(**QUICK).fit([words], margin, seed=1, directory=tmp_path)
    table, shap = fit.tables["importance"], fit.tables["shap"].to_pandas()
    assert table["feature"].to_pylist() == ["words.length", "words.flattery", "words.noise"]
    assert table["importance"][0].as_py() == pytest.approx(shap["words.length"].abs().mean())
    assert table["low"][0].as_py() < table["importance"][0].as_py() < table["high"][0].as_py()
    assert sum(table["gain"].to_pylist()) == pytest.approx(1)
    assert column(table, "feature", "words.length", "permutation") > 1


def test_training_does_not_depend_on_threads(words, state, margin, tmp_path):
    files = []
    for threads in (1, 2):
        folder = tmp_path / str(threads)
        folder.mkdir()
        step = LightGBM(threads=threads, **QUICK)
        fit = step.fit([words, state], margin, seed=1, directory=folder)
        files.append(Predict().compute(fit, [words, state])["prediction"])
    assert files[0].equals(files[1])


def test_early_stopping_takes_fewer_rounds_and_says_as_well(words, margin, tmp_path):
    step = LightGBM(rounds=2000, early_stopping=10, importance_repeats=1, dependence=0)
    fit = step.fit([words], margin, seed=1, directory=tmp_path)
    assert 10 < fit.open().model.learned.booster.num_trees() < 1000
    assert values(fit)["r2"] > 0.8


def test_missing_values_are_learned_from(words, margin, tmp_path):
    length = words["length"].to_numpy().copy()
    length[length > 1] = np.nan
    gaps = Features({**keys(), "length": length}, "words")
    fit = LightGBM(**QUICK).fit([gaps], margin, seed=1, directory=tmp_path)
    predicted = Predict().compute(fit, [gaps])["prediction"].to_numpy()
    assert predicted[np.isnan(length)].mean() > 3


def test_classes_are_predicted_with_probabilities(words, margin, tmp_path):
    binary = LightGBM(objective="binary", threshold=0.0, **QUICK)
    fit = binary.fit([words], margin, seed=1, directory=tmp_path)
    assert values(fit)["auc"] > 0.9
    assert 0 < min(Predict().compute(fit, [words])["prediction"].to_pylist()) < 0.5
    thirds = np.digitize(margin["margin"].to_numpy(), [-1.0, 1.0]).astype(float)
    target = Features({**keys(), "third": thirds}, "reward")
    fit = LightGBM(objective="multiclass", **QUICK).fit([words], target, seed=1, directory=tmp_path)
    assert values(fit)["accuracy"] > 0.7 > values(fit)["accuracy-of-majority"]
    assert Predict().compute(fit, [words]).values[1:] == [f"probability.{i}" for i in range(3)]
    assert "shap" not in fit.tables


def test_shap_rows_are_limited(words, margin, tmp_path):
    fit = LightGBM(shap_rows=50, **QUICK).fit([words], margin, seed=1, directory=tmp_path)
    assert fit.tables["shap"].num_rows == 50
    assert fit.tables["rows"].num_rows == ROWS


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"lambda_ll2": 3}, "LightGBM has no parameter 'lambda_ll2'; did you mean 'lambda_l2'?"),
        ({"n_estimators": 3}, "n_estimators is set by rounds; leave it out of args"),
        ({"output_model": "x"}, "output_model names files or machines; leave it out of args"),
        ({"linear_tree": True}, "linear_tree makes leaves linear models, which have no SHAP val"),
        ({"linear_trees": "true"}, "linear_trees makes leaves linear models, which have no SHA"),
        ({"num_leaves": 1}, "LightGBM (regression) cannot learn from this: "),
    ],
)
def test_mistakes_are_told_in_one_sentence(args, message, words, margin, tmp_path):
    with pytest.raises(DataError) as error:
        LightGBM(args=args, **QUICK).fit([words], margin, seed=1, directory=tmp_path)
    assert str(error.value).startswith(message)


def test_conforms():
    check_step(LightGBM, {"rounds": 5, "args": {"min_data_in_leaf": 1}})
