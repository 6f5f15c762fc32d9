"""Linear reward heads on the states of a frozen encoder."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from direct import Unopened
from sklearn.linear_model import LogisticRegression, Ridge

from rmplug import DataError, Features, Fit, Pairs, Responses, text_of
from rmplug.data.rows import one_batch
from rmplug.notices import collect_notices
from rmplug.stats.folds import deal_folds
from rmplug.testing import LengthModel, check_step, small_pairs
from rmplug_hf import Encoder, HiddenState, LinearHead, RewardHead
from rmplug_hf.heads import _linear_head
from rmplug_hf.heads._examples import StateExamples
from rmplug_hf.heads._newton import Loss, Rows, minimise
from rmplug_tabular import Calibrated, Calibration
from rmplug_text.samplers import ToResponses

WORDS = ["egg", "haiku", "prime", "river", "stone", "kettle", "capital", "answer", "seven", "blue"]


@pytest.fixture(scope="module")
def encoder(tiny):
    return Encoder(path=tiny("bert", head="none"), device="cpu").load()


@pytest.fixture(scope="module")
def pairs():
    """Pairs whose chosen response says good: what a head can learn; two per prompt."""
    rng = np.random.default_rng(0)
    talk = [" ".join(rng.choice(WORDS, 5)) for _ in range(120)]
    return Pairs({
        "id": [f"p{n}" for n in range(120)],
        "prompt": [f"Say {n // 2}" for n in range(120)],
        "chosen": [f"great {text}" for text in talk],
        "rejected": [f"no {text}" for text in talk],
        "subset": ["odd" if n % 2 else "even" for n in range(120)],
    }, "pairs")  # fmt: skip


def value(numbers, metric, subset="all"):
    [found] = [n for n in numbers if (n["metric"], n["subset"]) == (metric, subset)]
    return found["value"]


def trained(encoder, data, folder, states=None, **params):
    folder.mkdir()
    return LinearHead(**params).train(encoder, data, states, seed=1, directory=folder)


def weight_of(checkpoint):
    return checkpoint.open().weight


@pytest.mark.parametrize("shape", [(300, 12), (40, 90)])
def test_each_strength_of_the_path_has_its_own_minimum_and_predictions(shape):
    rng = np.random.default_rng(3)
    rows = Rows(rng.normal(size=shape))
    loss, none, groups = Loss("logistic"), np.zeros(shape[0]), np.arange(shape[0])
    examples = StateExamples(
        rows.exact, none, none + 1, groups, loss, np.zeros(shape[1]), 0.0, pa.table({})
    )
    shares = rng.random((shape[0], 3)) / shape[0]
    grid = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    path = list(_linear_head._path(rows, examples, shares, grid))
    assert len(path) == len(grid)
    for l2, found in zip(grid, path, strict=True):
        start = np.zeros_like(found.values)
        exact = minimise(rows, loss, none, shares, l2, start, tolerance=1e-12)
        apart = np.linalg.norm(found.values - exact) / np.linalg.norm(exact)
        assert apart < 0.02, l2
        np.testing.assert_allclose(found.predicted, rows.exact @ found.values, atol=1e-10)


@pytest.mark.parametrize("shape", [(300, 12), (40, 90)])
def test_weights_are_the_optimum_of_logistic_regression(shape):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=shape) * rng.gamma(1, size=shape[1])
    weights = rng.integers(1, 4, shape[0]).astype(float)
    l2, shares = 0.01, (weights / weights.sum())[:, None]
    start, none = np.zeros((shape[1], 1)), np.zeros(shape[0])
    found = minimise(Rows(rows), Loss("logistic"), none, shares, l2, start)
    mirrored = np.concatenate([rows, -rows]), np.repeat([1, 0], shape[0])
    reference = LogisticRegression(
        C=1 / (2 * l2 * weights.sum()), fit_intercept=False, tol=1e-12, solver="newton-cholesky"
    ).fit(*mirrored, sample_weight=np.tile(weights, 2))
    np.testing.assert_allclose(found[:, 0], reference.coef_[0], atol=1e-7)


def test_weights_are_the_optimum_of_ridge_regression():
    rng = np.random.default_rng(2)
    rows, target = rng.normal(size=(80, 9)), rng.normal(size=80)
    shares = np.full((80, 1), 1 / 80)
    found = minimise(Rows(rows), Loss("squared"), target, shares, 0.1, np.zeros((9, 1)))
    reference = Ridge(alpha=0.1 * 80, fit_intercept=False, tol=1e-12).fit(rows, target)
    np.testing.assert_allclose(found[:, 0], reference.coef_, atol=1e-8)


def test_the_gradient_with_margins_vanishes_for_every_weighting():
    rng = np.random.default_rng(3)
    rows, margin = rng.normal(size=(200, 6)) * 4, rng.uniform(0, 3, 200)
    shares = rng.dirichlet(np.ones(200), 5).T
    w = minimise(Rows(rows), Loss("logistic"), margin, shares, 1e-4, np.zeros((6, 5)))
    doubt = 1 / (1 + np.exp(rows @ w - margin[:, None]))
    gradient = rows.T @ (-shares * doubt) + 1e-4 * w
    assert np.abs(gradient).max() < 1e-8


@pytest.mark.parametrize("shape", [(150, 60), (50, 120)])
def test_uneven_rows_get_the_same_optimum_with_a_factor_of_their_curvature(shape, monkeypatch):
    rng = np.random.default_rng(5)
    turn = np.linalg.qr(rng.normal(size=(shape[1], shape[1])))[0]
    rows = rng.normal(size=shape) * np.geomspace(1, 1e-3, shape[1]) @ turn
    target, shares = rng.normal(size=shape[0]) / 2, rng.dirichlet(np.ones(shape[0]), 6).T
    strengths = np.repeat([1e-5, 1e-6, 1e-7], 2)
    start = rng.normal(size=(shape[1], 6))
    uneven = Rows(rows)
    found = minimise(uneven, Loss("logistic"), target, shares, strengths, start)
    assert uneven.uneven, "conjugate gradients alone would take too many products"
    doubt = 1 / (1 + np.exp(rows @ found - target[:, None]))
    gradient = rows.T @ (-shares * doubt) + strengths * found
    assert np.abs(gradient).max() < 1e-10
    monkeypatch.setattr(Rows, "patience", 10**6)
    plain = Rows(rows)
    for column in range(6):
        one = minimise(plain, Loss("logistic"), target, shares[:, [column]], strengths[column],
                       np.zeros((shape[1], 1)))  # fmt: skip
        np.testing.assert_allclose(rows @ one[:, 0], rows @ found[:, column], rtol=1e-4)
    assert not plain.uneven


def test_strengths_that_are_fitted_together_give_what_each_gives_alone(monkeypatch):
    rng = np.random.default_rng(6)
    rows, groups = rng.normal(size=(300, 20)), np.arange(300) // 2
    rows *= np.where(rows @ rng.normal(size=20) + rng.logistic(size=300) > 0, 1, -1)[:, None]
    examples = StateExamples(rows, np.zeros(300), rng.uniform(1, 2, 300), groups, Loss("logistic"),
                             np.zeros(20), 0.0, pa.table({}))  # fmt: skip
    found = []
    for at_once in (1, 4):
        monkeypatch.setattr(_linear_head, "AT_ONCE", at_once)
        grid, fold = (1.0, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5), deal_folds(groups, 5, 0)
        found.append(_linear_head.search_strength(Rows(rows), examples, grid, fold))
    (one, weights), (other, others) = found
    assert len(one.predictions) == len(other.predictions) < len(grid)
    assert one.strength == other.strength
    best = one.best()
    np.testing.assert_allclose(one.predictions[best], other.predictions[best], atol=2e-3)
    np.testing.assert_allclose(weights, others, atol=1e-6)


def test_it_conforms(tiny):
    model = Unopened(Encoder(path=tiny("bert", head="none"), device="cpu"))
    check_step(LinearHead, {"folds": 3}, {"model": model}, tolerance=1e-5)


def test_it_learns_what_can_be_learnt(encoder, pairs, tmp_path):
    numbers = trained(encoder, pairs, tmp_path / "head").numbers
    assert value(numbers, "accuracy") > 0.95
    assert value(numbers, "log-loss") < 0.3
    assert value(numbers, "accuracy-of-longer") == 1
    assert value(numbers, "groups") == 60 and value(numbers, "folds") == 5
    assert value(numbers, "accuracy", "odd") > 0.9
    [accuracy] = [n for n in numbers if (n["metric"], n["subset"]) == ("accuracy", "all")]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"] and accuracy["n"] == 120


def test_it_scores_chance_where_nothing_can_be_learnt(encoder, pairs, tmp_path):
    swap = np.random.default_rng(4).integers(0, 2, len(pairs)).astype(bool)
    sides = [pairs.table[name].to_pylist() for name in ("chosen", "rejected")]
    chosen = [sides[s][n] for n, s in enumerate(swap.astype(int))]
    rejected = [sides[1 - s][n] for n, s in enumerate(swap.astype(int))]
    keys = {name: pairs.table[name].to_pylist() for name in ("id", "prompt")}
    shuffled = Pairs(pa.table({**keys, "chosen": chosen, "rejected": rejected}))
    numbers = trained(encoder, shuffled, tmp_path / "head").numbers
    [accuracy] = [n for n in numbers if n["metric"] == "accuracy"]
    assert accuracy["low"] < 0.6 and accuracy["value"] < 0.7
    assert value(numbers, "log-loss") > 0.6


@pytest.mark.parametrize("standardise", [True, False])
def test_scores_are_the_same_from_states_and_from_text(encoder, pairs, tmp_path, standardise):
    states = Features(HiddenState().query(encoder, pairs).table, "states")
    with_states = trained(encoder, pairs, tmp_path / "a", states, standardise=standardise)
    without = trained(encoder, pairs, tmp_path / "b", standardise=standardise)
    model = RewardHead(path=with_states.directory).load()
    responses = Responses(pairs.table.select(["id", "prompt"]).append_column(
        "response", pairs.table["chosen"]
    ))  # fmt: skip
    scores = model.score(one_batch(responses.table))
    vectors = np.asarray(states["chosen"].combine_chunks().flatten(), dtype=float).reshape(120, -1)
    np.testing.assert_allclose(scores, vectors @ model.weight, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(scores, without.open().score(one_batch(responses.table)), atol=1e-4)
    assert scores.std() > 0.05


def test_a_pair_of_weight_two_counts_as_two_pairs(encoder, pairs, tmp_path):
    table = pairs.table.slice(0, 40)
    weight = np.where(np.arange(40) < 10, 2.0, 1.0)
    weighted = Pairs(table.append_column("weight", pa.array(weight)))
    again = table.slice(0, 10)
    ids = pa.array([f"again-{n}" for n in range(10)])
    doubled = Pairs(pa.concat_tables([table, again.set_column(0, "id", ids)]))
    found = [
        weight_of(trained(encoder, data, tmp_path / name, l2=[0.01], standardise=False))
        for name, data in (("weighted", weighted), ("doubled", doubled))
    ]
    sizes = np.linalg.norm(found, axis=1)
    assert np.dot(*found) / np.prod(sizes) > 0.999


def test_a_margin_asks_for_a_greater_lead(encoder, pairs, tmp_path):
    asked = Pairs(pairs.table.append_column("margin", pa.array(np.full(120, 3.0))))
    plain = weight_of(trained(encoder, pairs, tmp_path / "plain", l2=[0.01]))
    more = weight_of(trained(encoder, asked, tmp_path / "more", l2=[0.01]))
    assert np.linalg.norm(more) > 1.2 * np.linalg.norm(plain)


def rated(pairs, missing=()):
    sides = [text_of(pairs.table[name]).to_pylist() for name in ("chosen", "rejected")]
    ratings = [None if n in missing else 4.0 - 2 * (n >= 120) for n in range(240)]
    return Responses(pa.table({
        "id": [f"r{n}" for n in range(240)],
        "prompt": pairs.table["prompt"].to_pylist() * 2,
        "response": [*(f"great great great great {text}" for text in sides[0]), *sides[1]],
        "ratings.quality": ratings,
    }))  # fmt: skip


def test_a_rating_is_predicted_in_its_own_unit(encoder, pairs, tmp_path):
    data = rated(pairs, missing=(3, 130))
    with collect_notices() as notices:
        checkpoint = trained(encoder, data, tmp_path / "head", target="ratings.quality")
    assert value(checkpoint.numbers, "r2") > 0.6
    assert value(checkpoint.numbers, "mae") < 0.6 < value(checkpoint.numbers, "mae-of-mean")
    scores = checkpoint.open().score(one_batch(data.table))
    assert scores[:120].mean() == pytest.approx(3.85, abs=0.15)
    assert scores[120:].mean() == pytest.approx(2.15, abs=0.15)
    told = {entry.what: entry.ids for entry in notices.values()}
    assert told["ratings.quality is missing"] == ["r3", "r130"]


def test_responses_without_a_target_are_refused(encoder, pairs, tmp_path):
    with pytest.raises(DataError, match=r"needs a target .* one of ratings\.quality"):
        trained(encoder, rated(pairs), tmp_path / "head")


def test_pairs_with_a_target_are_refused(encoder, pairs, tmp_path):
    with pytest.raises(DataError, match="pairs are learnt by Bradley-Terry: leave target out"):
        trained(encoder, pairs, tmp_path / "head", target="margin")


def test_states_of_another_layer_are_refused(encoder, pairs, tmp_path):
    states = Features(HiddenState(layer=0).query(encoder, pairs).table, "states")
    with pytest.raises(DataError, match="the states states are not those of this encoder and data"):
        trained(encoder, pairs, tmp_path / "head", states)


def test_states_of_other_rows_are_refused(encoder, pairs, tmp_path):
    table = HiddenState().query(encoder, pairs).table
    moved = Features(table.set_column(0, "id", table["id"].take(np.roll(np.arange(120), 1))), "old")
    with pytest.raises(DataError, match="the states old are not those of this encoder and data"):
        trained(encoder, pairs, tmp_path / "head", moved)


def test_states_in_another_order_are_put_in_order(encoder, pairs, tmp_path):
    table = HiddenState().query(encoder, pairs).table
    turned = Features(table.take(np.arange(120)[::-1]), "states")
    one = trained(encoder, pairs, tmp_path / "a", Features(table, "states"))
    two = trained(encoder, pairs, tmp_path / "b", turned)
    np.testing.assert_allclose(weight_of(one), weight_of(two), atol=1e-9)


def test_a_model_with_a_head_is_refused(pairs, tmp_path):
    with pytest.raises(
        DataError, match="LengthModel is no encoder that can be loaded again; load the mod"
    ):
        trained(LengthModel(), pairs, tmp_path / "head")


def test_one_prompt_is_not_enough(encoder, tmp_path):
    with pytest.raises(DataError, match="at least 2 groups .prompts., there are 1 rows of 1"):
        trained(encoder, Pairs(small_pairs().table.slice(0, 1)), tmp_path / "head")


def test_a_head_is_refused_when_a_file_of_its_encoder_has_changed(tiny, pairs, tmp_path):
    folder = tmp_path / "encoder"
    shutil.copytree(tiny("bert", head="none"), folder)
    head = trained(Encoder(path=folder, device="cpu").load(), pairs, tmp_path / "head")
    head.open()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"changed": True}))
    with pytest.raises(DataError, match=r"another encoder .* tokenizer_config\.json differ"):
        RewardHead(path=tmp_path / "head").load()


def test_an_encoder_that_was_moved_is_named_anew(tiny, pairs, tmp_path):
    shutil.copytree(tiny("bert", head="none"), tmp_path / "here")
    trained(Encoder(path=tmp_path / "here", device="cpu").load(), pairs, tmp_path / "head")
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(DataError, match="here, which is not there; say where it is now: encoder"):
        RewardHead(path=tmp_path / "head").load()
    moved = RewardHead(path=tmp_path / "head", encoder=tmp_path / "there", batch_tokens=64).load()
    assert moved.loaded.budget.tokens == 64


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda f: (f / "head.safetensors").write_bytes(b"\x08\0\0"), "is cut short or damaged"),
        (lambda f: (f / "config.json").write_text("{}"), "names no kind of trainer"),
        (lambda f: (f / "config.json").unlink(), "names no kind of trainer"),
    ],
)
def test_a_damaged_head_is_refused(encoder, pairs, tmp_path, damage, sentence):
    trained(encoder, pairs, tmp_path / "head", l2=[0.1])
    damage(tmp_path / "head")
    with pytest.raises(DataError, match=sentence):
        RewardHead(path=tmp_path / "head").load()


def test_hidden_states_of_a_reward_head_are_those_of_its_encoder(encoder, pairs, tmp_path):
    head = trained(encoder, pairs, tmp_path / "head", l2=[0.1]).open()
    found = [HiddenState().query(model, pairs).table for model in (head, encoder)]
    assert found[0].equals(found[1])


def test_folds_keep_groups_together_and_are_of_like_size():
    groups = np.repeat(np.arange(50), np.arange(50) % 4 + 1)
    fold = deal_folds(groups, 5, 0)
    assert all(len(set(fold[groups == g].tolist())) == 1 for g in range(50))
    sizes = np.bincount(fold)
    assert len(sizes) == 5 and sizes.max() - sizes.min() <= 4


def test_a_head_with_its_calibration_is_opened_as_any_reward_head(encoder, pairs, tmp_path):
    checkpoint = trained(encoder, pairs, tmp_path / "head", l2=[0.1])
    (tmp_path / "sure").mkdir()
    (tmp_path / "sure/calibration.json").write_text('{"format": 1, "column": "margin", "slope": 2}')
    folder = tmp_path / "both"
    folder.mkdir()
    fit = Fit(tmp_path / "sure", Calibration)
    Calibrated().train(checkpoint, fit, directory=folder, plan=None)
    assert RewardHead.accepts(str(folder)) == {"path": str(folder)}
    rows = one_batch(ToResponses().sample(pairs).table.slice(0, 6))
    plain = checkpoint.open().score(rows)
    found = RewardHead(path=folder, device="cpu", batch_tokens=64).load()
    assert found.score(rows) == pytest.approx(2 * plain, abs=1e-5)


def test_a_dimension_of_rounding_alone_is_not_made_as_large_as_the_others():
    rows = np.random.default_rng(0).normal(size=(50, 3)) * [1.0, 0.5, 1e-9]
    scales = _linear_head.scales_of(rows, standardise=True)
    assert np.mean((rows / scales)[:, :2] ** 2, axis=0) == pytest.approx([0.5, 0.5])
    assert np.abs((rows / scales)[:, 2]).max() < 1e-8
