"""Debiasing: the published grid rule, and penalties that free rewards of a confound either way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attribute_cases import features, reference_case, values
from scipy.stats import spearmanr

from rmplug import DataError, Features, Fit, Known, join
from rmplug.notices import collect_notices
from rmplug.testing import check_step
from rmplug_armorm import Debias
from rmplug_armorm.debias._penalties import PUBLISHED, find_published_penalty
from rmplug_armorm.debias._transform_file import read_transform


def wordy(rows: int = 1500) -> Features:
    """Rewards of which one grows and one falls with verbosity, and one is free of it."""
    rng = np.random.default_rng(0)
    verbosity, *others = rng.standard_normal((4, rows))
    return features(
        {
            "good": others[0] + 0.8 * verbosity,
            "terse": others[1] - 0.5 * verbosity,
            "free": others[2],
            "verbosity": verbosity,
        },
        "rewards",
        [str(row // 2) for row in range(rows)],
    )


def fitted(rewards: Features, folder: Path, *more: Features, **params: Any) -> Fit:
    step = Debias.model_validate({"against": ["verbosity"], **params})
    return step.fit(rewards, list(more) or None, seed=0, directory=folder)


def correlation(fit: Fit, rewards: Features, name: str, confound: str) -> float:
    after = fit.open().predict(join([rewards]).table)
    return float(spearmanr(after[name], rewards.table[confound].to_numpy()).statistic)


@pytest.mark.parametrize("place", range(4))
def test_the_published_rule_gives_the_published_penalties(place: int) -> None:
    found = json.loads(reference_case("verbosity_penalties.json").read_text())
    rewards, confound = np.array(found["rewards"]), found["verbosity_dim"]
    case = found["cases"][place]
    for k in set(range(6)) - {confound}:
        penalty, reached = find_published_penalty(rewards[:, k], rewards[:, confound], case["thr"])
        assert penalty == case["penalty"][k]
        assert reached == pytest.approx(case["corr"][k], abs=1e-12)


@pytest.mark.parametrize("name", ["stage2_equal_prompts", "stage2_unequal_prompts"])
def test_parity_gives_the_published_transform(name: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = reference_case(name)
    published = json.loads((folder / "original.json").read_text())
    states = load_file(folder / "ref-train.safetensors")["embeddings"].float()
    weight = torch.load(folder / "regression_weights.pt", weights_only=True)["weight"].float()
    rewards = torch.cat([states[:, 0] @ weight.T, states[:, 1] @ weight.T]).double().numpy()
    table = features({f"a{k}": rewards[:, k] for k in range(19)}, "rewards")
    fit = fitted(table, tmp_path, against=["a4"], compat="original")
    assert list(values(fit.numbers, "penalty").values()) == published["penalty"]
    accepted = list(values(fit.numbers, "correlation-accepted").values())
    np.testing.assert_allclose(accepted, published["corr"], atol=1e-6)
    saved = torch.load(folder / "original.pt", weights_only=True)["reward_transform_matrix"]
    np.testing.assert_allclose(read_transform(tmp_path).matrix, saved.numpy(), atol=1e-7)


def test_the_published_rule_has_24_penalties_and_leaves_negative_correlations() -> None:
    assert len(PUBLISHED) == 24
    assert PUBLISHED[8:11] == (0.2, 0.25, 0.3)
    rng = np.random.default_rng(0)
    confound = rng.standard_normal(300)
    reward = rng.standard_normal(300) - confound
    penalty, reached = find_published_penalty(reward, confound, 0.03)
    assert penalty == 0
    assert reached < -0.5


def test_rewards_are_freed_of_a_confound_in_either_direction(tmp_path: Path) -> None:
    rewards = wordy()
    fit = fitted(rewards, tmp_path)
    penalties = values(fit.numbers, "penalty")
    assert penalties["good"] == pytest.approx(0.8, abs=0.1)
    assert penalties["terse"] == pytest.approx(-0.5, abs=0.1)
    for name in ("good", "terse", "free"):
        assert abs(correlation(fit, rewards, name, "verbosity")) <= 0.003


def test_correlations_are_measured_on_rows_held_out(tmp_path: Path) -> None:
    numbers = fitted(wordy(), tmp_path).numbers
    before, after = (values(numbers, f"correlation-{at}") for at in ("before", "after"))
    assert before["good"] > 0.5
    assert before["terse"] < -0.35
    assert max(abs(value) for value in after.values()) < 0.05
    assert any(abs(value) > 1e-6 for value in after.values())
    for row in numbers:
        if row["metric"] == "correlation-after":
            assert row["low"] < 0 < row["high"]
            assert row["n"] == 1500


def test_what_is_left_on_rows_held_out_is_said(tmp_path: Path) -> None:
    with collect_notices() as notices:
        fitted(wordy(60), tmp_path, tolerance=1e-4)
    [notice] = notices.values()
    assert notice.what.startswith("correlations above 0.0001 or below -0.0001 are left")
    assert "good" in notice.ids


def test_a_measured_length_is_taken_away_together_with_an_attribute(tmp_path: Path) -> None:
    rewards = wordy()
    rng = np.random.default_rng(1)
    verbosity = rewards.table["verbosity"].to_numpy()
    characters = np.exp(5 + 0.5 * verbosity + 0.5 * rng.standard_normal(1500))
    length = features({"response.characters": characters}, "words")
    against = ["verbosity", "words.response.characters"]
    fit = fitted(rewards, tmp_path, length, against=against)
    transform = read_transform(tmp_path)
    assert transform.names[-1] == "words.response.characters"
    after = fit.open().predict(join([rewards, length]).table)
    assert set(after) == {"good", "terse", "free", "verbosity"}
    for name in ("good", "terse", "free"):
        assert abs(spearmanr(after[name], verbosity).statistic) < 0.01
        assert abs(spearmanr(after[name], characters).statistic) < 0.01
    np.testing.assert_allclose(after["verbosity"], 0, atol=1e-12)
    metric = "correlation-with-words.response.characters-before"
    assert values(fit.numbers, metric)["good"] > 0.3


def test_the_transform_is_a_matrix_on_the_rewards(tmp_path: Path) -> None:
    rewards = wordy()
    fit = fitted(rewards, tmp_path)
    penalties = values(fit.numbers, "penalty")
    expected = np.eye(4)
    expected[3] -= [penalties[name] for name in ("good", "terse", "free", "verbosity")]
    transform = read_transform(tmp_path)
    np.testing.assert_allclose(transform.matrix, expected, atol=1e-12)
    raw = np.column_stack([rewards.table[name] for name in transform.names])
    after = fit.open().predict(join([rewards]).table)
    np.testing.assert_allclose(np.column_stack(list(after.values())), transform(raw))


def test_rows_without_a_reward_are_counted_and_predicted_as_missing(tmp_path: Path) -> None:
    table = wordy().table
    with_hole = table["good"].to_numpy().copy()
    with_hole[3] = np.nan
    rewards = Features(table.set_column(2, "good", [with_hole]), "rewards")
    with collect_notices() as notices:
        fit = fitted(rewards, tmp_path)
    assert {n.what: n.ids for n in notices.values()}["a reward or measure is missing"] == ["3"]
    assert np.isnan(fit.open().predict(join([rewards]).table)["good"][3])


def test_what_does_not_go_is_said(tmp_path: Path) -> None:
    rewards = wordy(100)
    with pytest.raises(DataError, match="'lenght' is neither an attribute of rewards nor a column"):
        fitted(rewards, tmp_path, against=["lenght"])
    with pytest.raises(DataError, match="with compat: original rewards are freed of one attribute"):
        fitted(rewards, tmp_path, against=["verbosity", "good"], compat="original")
    constant = features({"good": np.arange(9.0), "verbosity": np.ones(9)}, "rewards")
    with pytest.raises(DataError, match="verbosity is the same in all rows: rewards cannot depend"):
        fitted(constant, tmp_path)
    fit = fitted(rewards, tmp_path)
    with pytest.raises(DataError, match="the transform reads free, and no column is that; given:"):
        fit.open().predict(rewards.select("good", "terse").table)


def test_the_kind_keeps_all_promises_of_a_step() -> None:
    check_step(Debias, {"against": ["verbosity"]}, {"rewards": wordy(60)})


def test_a_measure_that_is_known_not_to_be_there_is_told_before_running() -> None:
    step = Debias(against=("words.response.charcters", "style"))
    known = {"measures": [Known((Features,), ("response.characters",), step="words")]}
    [(param, told)] = step.mistakes(known)
    assert param == "against"
    assert told.startswith("words gives no column 'response.charcters'; did you mean 'response.ch")
