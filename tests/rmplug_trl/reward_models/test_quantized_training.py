"""Adapters trained on weights in 4 or 8 bits, by the real bitsandbytes on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fresh_processes import run_fresh
from polite import base_of, number_of, polite_pairs, trained

from rmplug import DataError, Known, RewardModel, StepError
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.notices import collect_notices
from rmplug_hf import SequenceClassifier
from rmplug_trl.reward_models.reward_model import RewardModelTrainer
from rmplug_trl.training._network import with_lora
from rmplug_trl.training.settings import QUANTIZED_MERGED, QUANTIZED_WHOLE, Lora

pytest.importorskip("bitsandbytes")
TEST = polite_pairs(24, seed=9)
CHOSEN = side_of(one_batch(TEST.table), "chosen")
LORA = Lora(r=4, lora_alpha=8)


def base(folder: Path, quantized: str, **more: str) -> RewardModel:
    return base_of("qwen2", folder, quantization=quantized, device="cpu", **more).load()


def scored(folder: Path) -> np.ndarray:
    """Return scores by the model in a folder, opened without parameters."""
    return np.asarray(RewardModelTrainer.open(folder).score(CHOSEN))


@pytest.mark.parametrize("quantized", ["nf4", "int8"])
def test_an_adapter_on_quantized_weights_loads_in_a_new_process_without_parameters(
    tmp_path: Path, quantized: str
) -> None:
    models = tmp_path.parent / "models"
    model = base(models, quantized)
    made = trained(
        "qwen2",
        tmp_path,
        validation=TEST,
        base=model,
        lora=LORA,
        load_best_model_at_end=True,
        learning_rate=0.01,
    )
    losses = [row["value"] for row in made.numbers if row["subset"] == "training"]
    assert losses[-1] < losses[0] / 2
    recorded = json.loads((made.directory / "format.json").read_text())["params"]
    assert (recorded["quantization"], recorded["dtype"]) == (quantized, "float32")
    found = made.open()
    assert isinstance(found.step, SequenceClassifier) and found.step.quantization == quantized
    assert np.allclose(run_fresh(scored, made.directory), found.score(CHOSEN), atol=1e-5)
    # four bits are counted as numbers, not as the bytes that hold them
    whole = sum(p.numel() for p in base(models, "none").network.parameters())
    sizes = {name: number_of(made, name)["value"] for name in ("parameters", "parameters-trained")}
    assert whole < sizes["parameters"] <= whole + sizes["parameters-trained"]
    other = SequenceClassifier(path=made.directory, quantization="none", device="cpu").load()
    with collect_notices() as told:
        assert not np.allclose(other.score(CHOSEN), found.score(CHOSEN), atol=1e-4)
    assert [what for what, _ in told if what.endswith("was trained in: quantization")]


def test_gradients_after_a_measurement_are_those_of_the_rounded_weights(tmp_path: Path) -> None:
    import bitsandbytes

    models = [base(tmp_path, bits) for bits in ("nf4", "none")]
    for name, layer in models[0].network.named_modules():
        if type(layer).__name__ == "Linear4bit":
            state = layer.weight.quant_state
            rounded = bitsandbytes.functional.dequantize_4bit(layer.weight.data, state)
            models[1].network.get_submodule(name).weight.data = rounded
    gradients = []
    for model in models:
        model.draw_head(0)
        network = with_lora(model.network, LORA, "SEQ_CLS", 3, model.head_modules)
        model.score(CHOSEN)
        network.train()
        [row] = model.token_rows(CHOSEN.slice(0, 1))
        network(input_ids=torch.from_numpy(row.ids)[None]).logits.sum().backward()
        gradients.append({n: p.grad for n, p in network.named_parameters() if p.requires_grad})
    assert len(gradients[0]) > 10
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [({}, QUANTIZED_WHOLE), ({"lora": LORA, "save": "merged"}, QUANTIZED_MERGED)],
)
def test_quantized_weights_are_neither_trained_nor_merged(
    tmp_path: Path, params: dict[str, object], sentence: str
) -> None:
    loader = base_of("qwen2", tmp_path, quantization="nf4", device="cpu")
    known = Known(outputs=("reward",), step="model", made_by=loader)
    told = RewardModelTrainer(**params).mistakes({"model": [known]})
    assert [message for _, message in told] == [sentence]
    with pytest.raises((StepError, DataError), match=sentence[:60]):
        trained("qwen2", tmp_path, base=loader.load(), **params)
