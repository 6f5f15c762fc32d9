from __future__ import annotations

import pytest
import torch

from rmplug.testing.tiny_models import tiny_model
from rmplug_hf import CausalLM
from rmplug_hf.tokens._budget import CACHE_BYTES, cache_bytes, suitable_tokens, token_bytes

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_model("llama", tmp_path_factory.mktemp("budget"), head="lm")
    return CausalLM(path=folder, device="cpu").load().loaded.model


def caches(folder, **sizes):
    for place, (level, size) in enumerate(sizes.items()):
        (folder / f"index{place}").mkdir()
        (folder / f"index{place}" / "level").write_text(f"{level.removeprefix('l')}\n")
        (folder / f"index{place}" / "size").write_text(f"{size}\n")
    return folder


def test_the_cache_of_a_core_is_the_second_level(tmp_path):
    assert cache_bytes(caches(tmp_path, l1="48K", l2="1280K", l3="491520K")) == 1280 << 10
    assert cache_bytes(tmp_path / "none") == CACHE_BYTES


@pytest.mark.parametrize("size", ["", "2 megabytes"])
def test_a_cache_of_no_readable_size_is_taken_as_the_usual_one(tmp_path, size):
    assert cache_bytes(caches(tmp_path, l2=size)) == CACHE_BYTES


@pytest.mark.parametrize(
    ("width", "tokens"), [(64, 2048), (256, 2048), (384, 1024), (768, 1024), (8192, 1024)]
)
def test_on_a_cpu_the_states_of_a_batch_fit_into_the_cache(model, monkeypatch, width, tokens):
    monkeypatch.setattr("rmplug_hf.tokens._budget.cache_bytes", lambda: 2 << 20)
    monkeypatch.setattr(model.config, "hidden_size", width)
    assert suitable_tokens(CPU, model) == tokens


@pytest.mark.parametrize(("gigabytes", "tokens"), [(80, 16384), (8, 8192), (2, 2048), (0.1, 1024)])
def test_on_a_gpu_a_quarter_of_what_the_weights_leave_is_used(
    model, monkeypatch, gigabytes, tokens
):
    """A model of the size of a Qwen of 0.6 billion parameters in float32."""
    sizes = {"hidden_size": 1024, "num_hidden_layers": 28, "intermediate_size": 3072}
    for name, size in sizes.items():
        monkeypatch.setattr(model.config, name, size)
    assert token_bytes(model) == 4 * (35 * 1024 + 3 * 3072)
    assert token_bytes(model, 1000) == token_bytes(model) + 8000
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda _: type("GPU", (), {"total_memory": gigabytes * 1e9}),
    )
    assert suitable_tokens(GPU, model) == tokens
