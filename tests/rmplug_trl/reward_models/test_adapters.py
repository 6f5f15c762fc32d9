"""Low-rank adapters: trained with the head, loaded by their folder alone, trained on, merged."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from fresh_processes import run_fresh
from polite import base_of, losses_of, number_of, polite_pairs, trained
from safetensors.torch import load_file

import rmplug
from rmplug import RewardModel
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.testing.tiny_models import Architecture
from rmplug_trl.training._network import Widened, adapted
from rmplug_trl.training.settings import Lora

TEST = polite_pairs(24, seed=9)
LORA = Lora(r=4, lora_alpha=8)


def scores(model: RewardModel) -> np.ndarray:
    return np.ravel(model.score(side_of(one_batch(TEST.table), "chosen")))


def scores_elsewhere(folders: Sequence[Path]) -> list[np.ndarray]:
    """Return scores by a new process that knows nothing but the folders."""
    columns = [TEST.table[side].to_pylist() for side in ("prompt", "chosen")]
    texts = [[turns[0]["content"] for turns in column] for column in columns]
    return [np.array(each) for each in run_fresh(scored, folders, texts)]


def scored(folders: Sequence[Path], texts: list[list[str]]) -> list[Any]:
    """Return the scores of texts by the models in the folders."""
    return [rmplug.load(folder).score_batch(*texts) for folder in folders]


def test_adapters_with_their_heads_load_in_a_new_process_without_parameters(tmp_path: Path) -> None:
    made, folders = [], []
    for architecture in get_args(Architecture):
        one = trained(architecture, tmp_path / architecture, lora=LORA, max_steps=4)
        assert {path.name for path in one.directory.glob("*.safetensors")} == {
            "adapter_model.safetensors"
        }
        facts = [number_of(one, name)["value"] for name in ("parameters-trained", "parameters")]
        assert facts[0] < facts[1] / 2
        made.append(one)
        folders.append(shutil.copytree(one.directory, tmp_path / f"copy-{architecture}"))
    for one, elsewhere in zip(made, scores_elsewhere(folders), strict=True):
        assert np.allclose(elsewhere, scores(one.open()), atol=1e-5)


def test_low_rank_matrices_and_a_head_learn_a_preference(tmp_path: Path) -> None:
    lora = Lora(r=8, lora_alpha=32)
    made = trained(
        "qwen2", tmp_path, validation=TEST, learning_rate=0.01, num_train_epochs=10, lora=lora
    )
    assert number_of(made, "accuracy")["value"] >= 0.9


def test_a_merged_adapter_is_a_whole_model_with_the_same_scores(tmp_path: Path) -> None:
    made, merged = (
        trained("gpt2", tmp_path / save, lora=LORA, save=save) for save in ("adapter", "merged")
    )
    assert (merged.directory / "model.safetensors").is_file()
    assert not list(merged.directory.glob("adapter*"))
    assert np.allclose(scores(merged.open()), scores(made.open()), atol=1e-4)


def test_an_adapter_is_trained_further_in_a_second_stage(tmp_path: Path) -> None:
    first = trained("qwen2", tmp_path / "1", lora=LORA, max_steps=4)
    before = scores(first.open())
    second, unlike = (
        trained("qwen2", tmp_path / name, base=base, lora=LORA, seed=6, max_steps=4)
        for name, base in (("2", first.open()), ("3", None))
    )
    assert (second.directory / "adapter_model.safetensors").is_file()
    assert not np.allclose(scores(second.open()), before, atol=1e-3)
    assert not np.allclose(scores(second.open()), scores(unlike.open()), atol=1e-3)
    # the first stage is as it was
    assert np.array_equal(scores(first.open()), before)


def test_an_adapter_becomes_a_whole_model_where_all_weights_are_trained_next(
    tmp_path: Path,
) -> None:
    first = trained("qwen2", tmp_path / "1", lora=LORA, max_steps=4)
    before = scores(first.open())
    second = trained("qwen2", tmp_path / "2", base=first.open(), max_steps=1, learning_rate=1e-9)
    assert (second.directory / "model.safetensors").is_file()
    assert np.allclose(scores(second.open()), before, atol=1e-4)


def test_dropout_of_the_matrices_is_their_own(tmp_path: Path) -> None:
    loras = [Lora(r=4, lora_dropout=p) for p in (0.0, 0.5)]
    none, some = (
        losses_of(
            trained(
                "qwen2", tmp_path / str(n), max_steps=3, logging_steps=1, dropout=0.0, lora=lora
            )
        )
        for n, lora in enumerate(loras)
    )
    assert len(none) == len(some) == 3
    assert none != some


def test_a_head_of_few_bits_takes_small_steps_in_float32(tmp_path: Path) -> None:
    model: Any = base_of("qwen2", tmp_path, dtype="bfloat16").load()
    model.draw_head(5)
    network = adapted(model, LORA, "SEQ_CLS", 5)
    widened = Widened(network)
    [head] = [p for name, p in network.named_parameters() if "score" in name and p.requires_grad]
    before, wide = head.detach().float().clone(), scores(model)
    with torch.no_grad():
        head.fill_(0.02)
        for _ in range(100):
            head += 1e-5  # which is nothing beside 0.02 in bfloat16
    widened.undo()
    assert head.dtype == torch.bfloat16
    assert torch.allclose(head.float(), torch.tensor(0.021), atol=1e-4)
    with torch.no_grad():
        head.copy_(before)
    assert np.allclose(scores(model), wide, atol=0.02)


def test_a_model_of_few_bits_is_saved_as_it_is_and_scores_as_trained(tmp_path: Path) -> None:
    base = base_of("qwen2", tmp_path.parent / "models", dtype="bfloat16").load()
    made = trained("qwen2", tmp_path, base=base, lora=LORA, validation=TEST, learning_rate=0.01)
    formats = {
        name.rpartition(".")[0].rpartition(".")[2]: weights.dtype
        for name, weights in load_file(made.directory / "adapter_model.safetensors").items()
    }
    assert (formats["score"], formats["lora_A"]) == (torch.bfloat16, torch.float32)
    assert number_of(made, "accuracy")["value"] >= 0.85


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lora": LORA, "save": "merged"}, "bfloat16 weights are rounded.*save: adapter"),
        ({}, "they are torch.bfloat16, in which small steps vanish"),
    ],
)
def test_weights_of_few_bits_are_not_trained_where_steps_would_be_lost(
    tmp_path: Path, params: dict[str, Any], message: str
) -> None:
    base = base_of("qwen2", tmp_path.parent / "models", dtype="bfloat16").load()
    with pytest.raises(rmplug.StepError, match=message):
        trained("qwen2", tmp_path, base=base, **params)


def test_modules_that_are_not_there_are_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(rmplug.StepError, match=r"target_modules.*q_proj"):
        trained("qwen2", tmp_path, lora=Lora(target_modules=("query",)))
