"""Training on a GPU: in bf16, on weights in 4 and 8 bits, with flash attention, by FSDP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from polite import base_of, losses_of, number_of, polite_pairs, trained

from rmplug import Checkpoint
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug_trl.reward_models.reward_model import RewardModelTrainer
from rmplug_trl.training.settings import Launcher, Lora

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: nothing is shown of CUDA"),
]
TEST = polite_pairs(24, seed=9)
CHOSEN = side_of(one_batch(TEST.table), "chosen")


def on_gpu(tmp_path: Path, loading: dict[str, Any], **params: Any) -> Checkpoint:
    base = base_of("qwen2", tmp_path / "models", device="cuda", **loading).load()
    params = {"learning_rate": 0.01, **params}
    return trained("qwen2", tmp_path / "run", validation=TEST, base=base, **params)


def opens_alike(made: Checkpoint, share: float) -> None:
    """Check that the checkpoint scores on a CPU as on the GPU, up to a share of the spread."""
    models = [RewardModelTrainer.open(made.directory, device=name) for name in ("cuda", "cpu")]
    scores = [model.score(CHOSEN) for model in models]
    assert np.ptp(scores[0]) > 0
    np.testing.assert_allclose(*scores, rtol=0, atol=share * np.ptp(scores[0]))


@pytest.mark.parametrize("precision", ["auto", "bf16", "no"])
def test_all_weights_are_trained_in_float32_or_with_passes_in_bf16(
    tmp_path: Path, precision: str
) -> None:
    made = on_gpu(tmp_path, {}, learning_rate=3e-3, mixed_precision=precision)
    assert number_of(made, "accuracy")["value"] >= 0.85
    assert str(made.open().network.dtype) == "torch.float32"
    opens_alike(made, 1e-3)


def test_matrices_are_trained_beside_weights_in_bf16(tmp_path: Path) -> None:
    made = on_gpu(tmp_path, {"dtype": "bfloat16"}, lora=Lora(r=4, lora_alpha=8))
    losses = losses_of(made)
    assert losses[-1] < losses[0] / 2
    opens_alike(made, 0.1)


@pytest.mark.parametrize("quantized", ["nf4", "int8"])
def test_matrices_are_trained_beside_quantized_weights(tmp_path: Path, quantized: str) -> None:
    pytest.importorskip("bitsandbytes")
    made = on_gpu(tmp_path, {"quantization": quantized}, lora=Lora(r=4, lora_alpha=8))
    losses = losses_of(made)
    assert losses[-1] < losses[0] / 2
    opens_alike(made, 0.1)


def test_flash_attention_trains(tmp_path: Path) -> None:
    pytest.importorskip("flash_attn", reason="flash_attn is not installed: it is not tested")
    loading = {"attention": "flash_attention_2", "dtype": "bfloat16"}
    made = on_gpu(tmp_path, loading, lora=Lora(r=4, lora_alpha=8))
    losses = losses_of(made)
    assert losses[-1] < losses[0] / 2


def test_fsdp_on_one_gpu_ends_where_the_plain_training_does(tmp_path: Path) -> None:
    launcher = Launcher(kind="accelerate", config="fsdp2", processes=1)
    sharded, plain = (
        on_gpu(tmp_path / name, {}, learning_rate=3e-3, mixed_precision="bf16", **more)
        for name, more in (("sharded", {"launcher": launcher}), ("plain", {}))
    )
    assert number_of(sharded, "steps")["value"] == number_of(plain, "steps")["value"]
    values = [number_of(made, "log-loss")["value"] for made in (sharded, plain)]
    assert values[0] == pytest.approx(values[1], abs=0.05)
    opens_alike(sharded, 1e-3)
