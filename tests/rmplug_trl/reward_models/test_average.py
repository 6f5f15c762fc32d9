"""Averages of weights: of models that belong together, as good as the mean of their scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from polite import base_of, number_of, polite_pairs, trained
from safetensors.numpy import load_file

from rmplug import Checkpoint, StepError
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.testing import check_step, run_step
from rmplug_trl.reward_models.average import Average
from rmplug_trl.reward_models.losses import Regression
from rmplug_trl.training.settings import Lora

TEST = polite_pairs(12, seed=9)
FEW: dict[str, Any] = {"max_steps": 2, "learning_rate": 1e-3}


def averaged(models: list[Checkpoint], folder: Path, **params: Any) -> Checkpoint:
    named = [
        Checkpoint(model.directory, model.made_by, model.numbers, f"model-{n}")
        for n, model in enumerate(models)
    ]
    made = run_step(Average(**params), {"models": named, "data": TEST}, folder)
    assert isinstance(made, Checkpoint)
    return made


def scores(made: Checkpoint) -> np.ndarray:
    return np.ravel(made.open().score(side_of(one_batch(TEST.table), "chosen")))


def test_weights_are_averaged_by_their_shares(tmp_path: Path) -> None:
    models = [
        trained("qwen2", tmp_path / str(n), polite_pairs(16, seed=n), **FEW) for n in range(2)
    ]
    made = averaged(models, tmp_path / "made", weights=(1.0, 3.0))
    one, other, mean = (load_file(m.directory / "model.safetensors") for m in (*models, made))
    for name, values in mean.items():
        assert np.allclose(values, 0.25 * one[name] + 0.75 * other[name], atol=1e-6)
    middle = 0.25 * scores(models[0]) + 0.75 * scores(models[1])
    apart = float(np.abs(scores(made) - middle).max())
    assert number_of(made, "apart")["value"] == pytest.approx(apart, abs=1e-6)
    spread = float(np.abs(scores(models[0]) - scores(models[1])).max())
    assert number_of(made, "spread")["value"] == pytest.approx(spread, abs=1e-6)
    assert 0 < apart < spread


def test_an_adapter_is_merged_into_its_model_first(tmp_path: Path) -> None:
    lora, full = (
        trained("qwen2", tmp_path / str(n), lora=lora, **FEW)
        for n, lora in enumerate((Lora(r=4), None))
    )
    made = averaged([lora, lora, full], tmp_path / "made", weights=(0.5, 0.5, 0.0))
    assert (made.directory / "model.safetensors").is_file()
    assert np.allclose(scores(made), scores(lora), atol=1e-4)


def test_models_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    models = tmp_path.parent / "models"
    ratings = Regression(ratings=("ratings.manners", "ratings.length"))
    from polite import polite_lists

    def two(outputs: tuple[str, str]) -> Checkpoint:
        base = base_of("qwen2", models, outputs=outputs).load()
        data = polite_lists(4)
        return trained("qwen2", tmp_path / outputs[0], data, base=base, loss=ratings, **FEW)

    plain = trained("qwen2", tmp_path / "plain", **FEW)
    short = base_of("qwen2", models, max_length=12).load()
    cut = trained("qwen2", tmp_path / "cut", base=short, **FEW)
    other = trained("gpt2", tmp_path / "gpt2", **FEW)
    for pair, message in (
        ([two(("a", "b")), two(("b", "a"))], "has the outputs b, a, the first model a, b"),
        ([plain, cut], "model-1 reads conversations otherwise"),
        ([plain, other], "of another architecture"),
    ):
        with pytest.raises(StepError, match=message):
            averaged(pair, tmp_path / message)


def test_the_kind_conforms(tmp_path: Path) -> None:
    models = [trained("qwen2", tmp_path / str(n), seed=n, **FEW) for n in range(2)]
    check_step(Average, {}, {"models": models, "data": TEST}, tolerance=1e-4)
