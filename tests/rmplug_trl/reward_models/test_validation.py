"""Held-out rows while a model is trained: what is measured, what is kept, and when it ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from polite import base_of, polite_lists, polite_pairs
from transformers import TrainerControl, TrainerState

from rmplug import DataError, Pairs, Responses
from rmplug.notices import collect_notices
from rmplug_trl.reward_models._numbers import final_numbers
from rmplug_trl.reward_models._reward_model import train
from rmplug_trl.reward_models._validation import HeldOut, Validating, Watch
from rmplug_trl.reward_models.losses import (
    BradleyTerry,
    Davidson,
    PlackettLuce,
    Regression,
    RewardLoss,
)
from rmplug_trl.reward_models.reward_model import RewardModelTrainer


def held_out(folder: Path, data: Pairs | Responses, loss: RewardLoss) -> HeldOut:
    """Return held-out rows of a model whose head was drawn and never trained."""
    model: Any = base_of("qwen2", folder).load()
    model.draw_head(3)
    return HeldOut(model, data, loss)


def value_of(numbers: list[dict[str, Any]], metric: str) -> float:
    [found] = [row["value"] for row in numbers if row["metric"] == metric]
    return float(found)


def test_pairs_are_measured_by_what_their_labels_say(tmp_path: Path) -> None:
    plain = held_out(tmp_path, polite_pairs(8), BradleyTerry())
    lead = plain.leads(plain.rewards())
    share = [1.0, 0.9, 0.2, 0.5, None, 0.0, 0.8, 1.0]
    ids = polite_pairs(8).table["id"].to_pylist()
    soft = held_out(tmp_path, polite_pairs(8, share=share), BradleyTerry(soft_labels="share"))
    verdict = ["A", "tie", "A", "A", "tie", "A", None, "A"]
    davidson = held_out(tmp_path, polite_pairs(8, verdict=verdict), Davidson(ties="verdict"))
    with collect_notices() as notices:
        turned = lead[[0, 1, 2, 5, 6, 7]] * [1, 1, -1, -1, 1, 1]
        assert np.allclose(soft.leads(soft.rewards()), turned, atol=1e-6)
        assert np.allclose(davidson.leads(davidson.rewards()), lead[[0, 2, 3, 5, 6, 7]], atol=1e-6)
        for each in (soft, davidson):
            again = each.measure(), final_numbers(each, 0)
            assert again[0]["accuracy"] == value_of(again[1], "accuracy")
            assert again[0]["log-loss"] == pytest.approx(value_of(again[1], "log-loss"))
    [told] = notices.values()
    assert told.ids == [ids[3], ids[4], ids[1], ids[4]]


def test_a_baseline_that_knows_only_lengths_follows_the_labels(tmp_path: Path) -> None:
    texts = {"chosen": ["a", "a", "aaa"], "rejected": ["aa", "aa", "a"]}
    data = Pairs({"id": list("123"), "prompt": list("pqr"), **texts, "share": [1.0, 0.0, 0.0]})
    turned = held_out(tmp_path, data, BradleyTerry(soft_labels="share"))
    assert value_of(final_numbers(turned, 0), "accuracy-of-longer") == pytest.approx(1 / 3)


def test_rows_without_a_label_alone_are_refused(tmp_path: Path) -> None:
    tied = held_out(tmp_path, polite_pairs(3, label=["tie"] * 3), Davidson())
    with pytest.raises(DataError, match="no validation row says which response is better"):
        tied.measure()
    table = polite_lists(2).table
    equal = Responses({**{n: table[n] for n in ("id", "prompt", "response")}, "rank": [1] * 6})
    with pytest.raises(DataError, match="no validation row says which response is better"):
        held_out(tmp_path, equal, PlackettLuce()).measure()


def test_ratings_are_measured_one_by_one_beside_their_means(tmp_path: Path) -> None:
    ratings = [[1.0, None, 4.0], [2.0, None, None]]
    data = Responses(
        {
            "id": list("abc"),
            "prompt": list("pqr"),
            "response": ["Certainly", "Perhaps", "No way"],
            "a": ratings[0],
            "b": ratings[1],
        }
    )
    model: Any = base_of("qwen2", tmp_path, outputs=("a", "b")).load()
    model.draw_head(3)
    rows = HeldOut(model, data, Regression(ratings=("a", "b")))
    with collect_notices() as notices:
        measured = rows.measure(), rows.measure()
        numbers = final_numbers(rows, 0, np.array([2.0, 2.0]))
    rewards = rows.rewards()["response"]
    errors = [(rewards[0, 0] - 1) ** 2, (rewards[0, 1] - 2) ** 2, (rewards[2, 0] - 4) ** 2]
    assert measured[0]["mse"] == measured[1]["mse"] == pytest.approx(np.mean(errors))
    assert value_of(numbers, "mse") == pytest.approx(np.mean(errors))
    assert value_of(numbers, "mse-of-mean") == pytest.approx((1 + 0 + 4) / 3)
    [told] = notices.values()
    assert (told.what, told.count) == ("no rating", 1)


def test_rewards_that_are_not_finite_end_the_training(tmp_path: Path) -> None:
    names = ("a", "b")
    model: Any = base_of("qwen2", tmp_path, outputs=names).load()
    model.draw_head(3)
    with torch.no_grad():
        model.network.score.weight[1] = torch.nan
    data = polite_lists(2)
    loss = Regression(ratings=("ratings.manners", "ratings.length"))
    with pytest.raises(DataError, match="not finite"):
        HeldOut(model, data, loss).measure()


def watch(metric: str, values: list[float], threshold: float = 0.0) -> Watch:
    """Return what is noted of values after steps 1, 2, 3..., weights being their number."""
    noted = Watch(metric, threshold, 2, keep_best=True)
    for step, value in enumerate(values, 1):
        noted.note(step, {metric: value}, lambda n=step: [("w", torch.tensor([n]))])
    return noted


@pytest.mark.parametrize(
    ("metric", "values", "threshold", "best", "ends"),
    [
        ("accuracy", [0.5, 0.7, 0.7, 0.7], 0.0, 2, True),
        ("accuracy", [0.7, 0.5, 0.8], 0.0, 3, False),
        ("log-loss", [0.7, 0.6, 0.6], 0.0, 2, False),
        ("log-loss", [0.7, 0.69, 0.68], 0.05, 1, True),
        ("log-loss", [0.7, 0.68, 0.64], 0.05, 3, False),
    ],
)
def test_of_equal_measurements_the_first_is_the_best(
    metric: str, values: list[float], threshold: float, best: int, ends: bool, tmp_path: Path
) -> None:
    noted = watch(metric, values, threshold)
    assert noted.best is not None
    assert (int(noted.best["w"][0]), noted.is_exhausted) == (best, ends)
    noted.save(tmp_path)
    read = Watch(metric, threshold, 2, keep_best=True)
    read.load(tmp_path)
    assert read.best is not None
    assert (int(read.best["w"][0]), read.is_exhausted) == (best, ends)


def test_a_training_that_is_to_stop_leaves_no_checkpoint_to_go_on_from(tmp_path: Path) -> None:
    rows = held_out(tmp_path, polite_pairs(6), BradleyTerry())
    validating = Validating(rows, Watch("log-loss", 0.0, 2, False), 1, lambda *_, **__: None)
    controls = []
    for step in (1, 2, 3):
        control = TrainerControl(should_save=True)
        state = TrainerState(global_step=step, max_steps=9)
        validating.on_step_end(SimpleNamespace(), state, control, model=rows.model.network)
        controls.append((control.should_training_stop, control.should_save))
    assert controls == [(False, True), (False, True), (True, False)]


def test_rows_that_are_left_out_are_counted_once(tmp_path: Path) -> None:
    data, validation = polite_lists(8), polite_lists(4, seed=1)
    missing = sum(rows.table["ratings.manners"].null_count for rows in (data, validation))
    step = RewardModelTrainer(loss=Regression(ratings=("ratings.manners",)), max_steps=2)
    base, made = base_of("qwen2", tmp_path).load(), tmp_path / "made"
    made.mkdir()
    with collect_notices() as notices:
        train(step, base, data, validation, 1, made, tmp_path, lambda *_, **__: None)
    assert {one.what: one.count for one in notices.values()}["no rating"] == missing
