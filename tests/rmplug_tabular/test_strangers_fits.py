"""Fits and heads as a stranger might send them: one sentence each, and the process goes on."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from tabular_data import values

from rmplug import DataError, Features
from rmplug.models.tree_texts import read_trees
from rmplug.testing import small_pairs
from rmplug_tabular import LightGBM, NgramHead, Sklearn

QUICK = {"rounds": 8, "importance_repeats": 1, "dependence": 1}
OPEN = """
import sys
from pathlib import Path
import numpy as np
from rmplug import DataError
from rmplug_tabular import LightGBM
opened = 0
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        model = LightGBM.open(folder).model.learned
        model.scores(np.zeros((3, 3)))
        model.contributions(np.zeros((3, 3)))
        opened += 1
    except DataError as error:
        assert "\\n" not in str(error)
print("opened", opened)
"""


def mutated(text: str, rng: random.Random) -> str:
    """A model of trees with a number, a line or some bytes that are not what they were."""
    end = text.index("end of trees")
    sort = rng.choice(["number", "cut", "repeat", "byte"])
    if sort == "number":
        found = rng.choice(list(re.finditer(r"-?\d+(\.\d+)?", text[:end])))
        value = rng.choice(["-1", "99999", "-99999", "2147483647", "7", "1e300", "nan", ""])
        return text[: found.start()] + value + text[found.end() :]
    start = rng.randrange(end)
    stop = start + rng.randint(1, 40)
    kept = {"cut": "", "repeat": text[start:stop] * 2, "byte": chr(rng.randrange(127))}[sort]
    return text[:start] + kept + text[stop if sort != "byte" else start + 1 :]


def test_trees_that_are_none_never_end_the_process(words, margin, tmp_path):
    (tmp_path / "fit").mkdir()
    LightGBM(**QUICK).fit([words], margin, seed=1, directory=tmp_path / "fit")
    text = (tmp_path / "fit/model.txt").read_text()
    rng = random.Random(0)
    for number in range(200):
        folder = tmp_path / "sent" / f"{number:03}"
        folder.mkdir(parents=True)
        (folder / "fit.json").write_text((tmp_path / "fit/fit.json").read_text())
        (folder / "model.txt").write_text(mutated(text, rng))
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(tmp_path / "sent")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0 < int(done.stdout.split()[-1]) < 100  # some numbers may be others


@pytest.mark.parametrize(
    ("pattern", "by", "reason"),
    [
        (r"left_child=(-?\d+)", "left_child=99", "its nodes are no tree"),
        (r"left_child=(-?\d+)", "left_child=0", "its nodes are no tree"),
        (r"split_feature=\d+", "split_feature=3", "a split is on a feature that is not there"),
        (r"num_leaves=\d+", "num_leaves=9000000", "a tree of 9000000 leaves has no such number"),
        (r"leaf_value=\S+ ", "leaf_value=", r"leaf_value has \d+ entries, not \d+"),
        (r"decision_type=2", "decision_type=1", "a split is on a set of categories that is not th"),
        (r"objective=\w+", "objective=multiclass num_class:9", "another number of classes"),
        (r"max_feature_idx=\d", "max_feature_idx=7", "it does not name 8 features"),
    ],
)
def test_trees_say_what_is_wrong_with_them(words, margin, tmp_path, pattern, by, reason):
    fit = LightGBM(**QUICK).fit([words], margin, seed=1, directory=tmp_path)
    path = tmp_path / "model.txt"
    path.write_text(re.sub(pattern, by, path.read_text(), count=1))
    with pytest.raises(DataError, match=rf"is not a whole model of LightGBM \(.*{reason}"):
        fit.open()


def test_trees_that_are_whole_are_read_as_they_are(words, margin, tmp_path):
    import lightgbm

    LightGBM(**QUICK).fit([words], margin, seed=1, directory=tmp_path)
    text = read_trees(tmp_path / "model.txt")
    rows = np.random.default_rng(0).normal(size=(50, 3))
    before = lightgbm.Booster(model_file=str(tmp_path / "model.txt")).predict(rows)
    np.testing.assert_array_equal(lightgbm.Booster(model_str=text).predict(rows), before)


def test_trees_on_categories_are_read_as_they_are(tmp_path):
    import lightgbm

    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=300), rng.integers(0, 50, 300)])
    data = lightgbm.Dataset(rows, rows[:, 1] % 7 < 3, categorical_feature=[1])
    params = {"objective": "binary", "verbosity": -1, "min_data_per_group": 1}
    booster = lightgbm.train(params, data, 5)
    booster.save_model(tmp_path / "model.txt")
    text = read_trees(tmp_path / "model.txt")
    assert "num_cat=1" in text
    read = lightgbm.Booster(model_str=text).predict(rows)
    np.testing.assert_array_equal(read, booster.predict(rows))


@pytest.mark.parametrize("content", ["{}", "[]", "{" * 9, '{"a": ' + "[" * 200_000, "\x00"])
def test_a_fit_that_is_none_is_refused_in_one_sentence(words, margin, tmp_path, content):
    fit = LightGBM(**QUICK).fit([words], margin, seed=1, directory=tmp_path)
    (tmp_path / "fit.json").write_text(content)
    with pytest.raises(DataError) as caught:
        fit.open()
    assert "\n" not in str(caught.value) and "fit.json" in str(caught.value)


@pytest.mark.parametrize("name", ["RandomForestRegressor", "HistGradientBoostingRegressor"])
def test_a_tree_of_scikit_learn_with_nodes_that_are_not_there_is_refused(
    words, margin, tmp_path, name
):
    few = "max_iter" if name.startswith("Hist") else "n_estimators"
    step = Sklearn(name=name, args={few: 3}, importance_repeats=1)
    fit = step.fit([words], margin, seed=1, directory=tmp_path)
    assert values(fit) and fit.open()
    file = tmp_path / "model.skops"
    estimator = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    if few == "max_iter":
        estimator._predictors[0][0].nodes["left"][0] = 1_000_000
    else:
        tree = estimator.estimators_[0].tree_
        state = tree.__getstate__()
        state["nodes"]["left_child"][0] = 1_000_000
        tree.__setstate__(state)
    skops.io.dump(estimator, file)
    with pytest.raises(DataError, match=r"model\.skops holds a tree with nodes that are not there"):
        fit.open()


def changed(words, margin, folder, name, args, change):
    """A fit whose estimator is another than the one that it wrote."""
    step = Sklearn(name=name, args=args, importance_repeats=1)
    fit = step.fit([words], margin, seed=1, directory=folder)
    file = folder / "model.skops"
    estimator = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    change(estimator)
    skops.io.dump(estimator, file)
    return fit


def joined(words):
    """The features under the names that a run gives them."""
    names = [n if n in ("id", "group") else f"words.{n}" for n in words.table.column_names]
    return words.table.rename_columns(names)


def set_node(field, value):
    def change(estimator):
        nodes = estimator._predictors[0][0].nodes
        nodes[field][nodes["is_leaf"] == 0] = value

    return change


def widen_tree(estimator):
    from sklearn.tree._tree import Tree

    tree = estimator.estimators_[0, 0]
    state = tree.tree_.__getstate__()
    state["nodes"]["feature"][state["nodes"]["left_child"] != -1] = 900_000_000
    tree.tree_ = Tree(10**9, np.array([1], dtype=np.intp), 1)
    tree.tree_.__setstate__(state)
    tree.n_features_in_ = 10**9


def double_trees(estimator):
    estimator.estimators_ = np.repeat(estimator.estimators_, 2, axis=1)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("HistG", set_node("feature_idx", 9_000_000), "a tree with features that are not there"),
        ("HistG", set_node("is_categorical", 1), "splits on categories, which are not checked"),
        ("G", widen_tree, "a tree of other features than its estimator's"),
        ("G", double_trees, "another number of trees than it has outputs"),
    ],
)
def test_a_tree_of_scikit_learn_asks_only_for_features_that_are_there(
    words, margin, tmp_path, name, change, reason
):
    few = "max_iter" if name.startswith("Hist") else "n_estimators"
    name += "radientBoostingRegressor"
    fit = changed(words, margin, tmp_path, name, {few: 3}, change)
    with pytest.raises(DataError, match=rf"model\.skops holds {reason}; fit again"):
        fit.open()


def with_set(**entries):
    def change(estimator):
        vars(estimator).update({name: of(estimator) for name, of in entries.items()})

    return change


def first_only(name):
    return with_set(**{name: lambda machine: vars(machine)[name][..., :1].copy()})


@pytest.mark.parametrize(
    "change",
    [
        first_only("_dual_coef_"),
        first_only("support_"),
        first_only("support_vectors_"),
        with_set(_intercept_=lambda machine: np.zeros(0)),
        with_set(_probA=lambda machine: np.zeros(1)),
        with_set(_n_support=lambda machine: np.array([10**6, 10**6], dtype=np.int32)),
        with_set(_impl=lambda machine: "c_svc"),
        with_set(_sparse=lambda machine: True),
        with_set(kernel=lambda machine: "precomputed"),
        with_set(support_=lambda machine: np.full_like(machine.support_, 10**8)),
    ],
)
def test_a_machine_whose_support_vectors_do_not_fit_is_refused(words, margin, tmp_path, change):
    fit = changed(words, margin, tmp_path, "SVR", {}, change)
    with pytest.raises(DataError, match=r"model\.skops holds support vectors that do not fit each"):
        fit.open()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("SVR", {}),
        ("NuSVR", {"kernel": "poly"}),
        ("SVC", {}),
        ("SVC", {"kernel": "linear", "class_weight": "balanced"}),
        ("NuSVC", {"decision_function_shape": "ovo"}),
        ("BaggingRegressor", {"estimator": {"name": "SVR"}, "n_estimators": 2}),
    ],
)
@pytest.mark.parametrize("classes", [2, 3])
def test_machines_that_are_whole_are_read_as_they_are(words, margin, tmp_path, name, args, classes):
    target = margin
    if name.endswith("SVC"):
        numbers = margin.table["margin"].to_numpy()
        edges = np.quantile(numbers, np.arange(1, classes) / classes)
        codes = np.searchsorted(edges, numbers).astype(float)
        target = Features({"id": margin["id"], "group": margin["group"], "class": codes}, "target")
    step = Sklearn(name=name, args=args, importance_repeats=1)
    fit = step.fit([words], target, seed=1, directory=tmp_path)
    assert len(fit.open().predict(joined(words))["prediction"]) == len(words)


def other_start(estimator):
    estimator.init_.constant_ = np.array([[1.0, 2.0]])
    estimator.init_.n_outputs_ = 2


def no_nodes(estimator):
    estimator.estimators_[0, 0].tree_ = None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_start, "another number of first scores than it has outputs"),
        (no_nodes, "a tree that gives no single number"),
    ],
)
def test_boosting_adds_only_scores_of_its_outputs(words, margin, tmp_path, change, reason):
    name, args = "GradientBoostingRegressor", {"n_estimators": 3}
    fit = changed(words, margin, tmp_path, name, args, change)
    with pytest.raises(DataError, match=rf"model\.skops holds {reason}; fit again"):
        fit.open()


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_a_search_tree_of_neighbours_is_built_anew(words, margin, tmp_path, algorithm):
    def lose_rows(estimator):
        state = list(estimator._tree.__getstate__())
        state[1] = np.full_like(state[1], 10**12)
        estimator._tree = type(estimator._tree).__new__(type(estimator._tree))
        estimator._tree.__setstate__(tuple(state))

    args, name = {"algorithm": algorithm}, "KNeighborsRegressor"
    whole = Sklearn(name=name, args=args, importance_repeats=1)
    (tmp_path / "whole").mkdir()
    before = whole.fit([words], margin, seed=1, directory=tmp_path / "whole").open()
    (tmp_path / "sent").mkdir()
    fit = changed(words, margin, tmp_path / "sent", name, args, lose_rows)
    predicted = fit.open().predict(joined(words))["prediction"]
    np.testing.assert_array_equal(predicted, before.predict(joined(words))["prediction"])


def test_a_search_tree_that_is_no_neighbours_own_is_refused(words, margin, tmp_path):
    from sklearn.neighbors import KDTree

    def hide(estimator):
        estimator.extra = KDTree(np.eye(3))

    fit = changed(words, margin, tmp_path, "KNeighborsRegressor", {}, hide)
    with pytest.raises(DataError, match="holds a search tree, which is used without being checked"):
        fit.open()


def test_an_estimator_that_cannot_predict_says_so_in_one_sentence(words, margin, tmp_path):
    def lose(estimator):
        estimator._y = estimator._y[:1]

    fit = changed(words, margin, tmp_path, "KNeighborsRegressor", {}, lose)
    with pytest.raises(DataError, match=r"the fit cannot predict \(.*\); fit again"):
        fit.open().predict(joined(words))


def test_a_file_of_scikit_learn_that_is_none_is_refused(words, margin, tmp_path):
    args = {"n_estimators": 3}
    step = Sklearn(name="RandomForestRegressor", args=args, importance_repeats=1)
    fit = step.fit([words], margin, seed=1, directory=tmp_path)
    file = tmp_path / "model.skops"
    with zipfile.ZipFile(file) as old:
        schema = old.read("schema.json")
    for content in (b"", b"[]", b"[" * 200_000, schema[:-9], schema):
        with zipfile.ZipFile(file, "w") as new:
            new.writestr("schema.json", content)
        with pytest.raises(DataError, match=r"model\.skops cannot be read \(.*\); fit again"):
            fit.open()
    file.write_bytes(b"no zip")
    with pytest.raises(DataError, match="cannot be read .*; fit again"):
        fit.open()


@pytest.mark.parametrize(
    "entries", [{"size": 10**15}, {"size": -1}, {"size": "x"}, {"recipe": {}}, {"recipe": 7}]
)
def test_an_ngram_head_that_is_none_is_refused(tmp_path, entries):
    folder = tmp_path / "head"
    folder.mkdir()
    NgramHead(folds=2, l2=[0.1]).train(small_pairs(), seed=1, directory=folder)
    head = json.loads((folder / "head.json").read_text())
    (folder / "head.json").write_text(json.dumps({**head, **entries}))
    with pytest.raises(DataError, match="does not hold a head that ngram-head has trained") as told:
        NgramHead.open(folder)
    assert "\n" not in str(told.value)
