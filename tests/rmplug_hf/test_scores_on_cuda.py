"""Scores and states on a GPU are those on a CPU, up to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import rmplug
from rmplug.data.rows import one_batch
from rmplug_hf import CausalLM, HiddenState, SequenceClassifier
from rmplug_text.queries import Reward

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: nothing is shown of CUDA"),
]


def pair_of(folder, kind=SequenceClassifier, **params):
    """The same model on a GPU and on the CPU."""
    return [kind(path=folder, device=device, **params).load() for device in ("cuda", "cpu")]


def near(found, expected, share):
    """Compare numbers, up to a share of the spread of those expected."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * np.ptp(expected))


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama", "qwen2"])
def test_scores_in_float32_are_those_of_the_cpu(tiny, talks, architecture):
    own = {"template": "pair"} if architecture == "bert" else {}
    gpu, cpu = pair_of(tiny(architecture, labels=2), **own)
    assert gpu.network.device.type == "cuda" and cpu.network.device.type == "cpu"
    scores = gpu.score(one_batch(talks.table))
    assert scores.dtype == np.float64
    near(scores, cpu.score(one_batch(talks.table)), 1e-4)


def test_an_automatic_device_is_the_gpu(tiny):
    assert SequenceClassifier(path=tiny("llama")).load().network.device.type == "cuda"


@pytest.mark.parametrize(("dtype", "share"), [("bfloat16", 0.1), ("float16", 0.02)])
def test_scores_in_narrow_numbers_are_near_and_do_not_depend_on_the_batch(
    tiny, talks, dtype, share
):
    batch = one_batch(talks.table)
    exact = SequenceClassifier(path=tiny("llama"), device="cpu").load().score(batch)
    model = SequenceClassifier(path=tiny("llama"), device="cuda", dtype=dtype).load()
    assert str(model.network.dtype) == f"torch.{dtype}"
    scores = model.score(batch)
    near(scores, exact, share)
    near([model.score(batch.slice(row, 1))[0] for row in range(batch.num_rows)], scores, share)


def test_a_batch_that_memory_cannot_hold_is_halved_to_the_same_scores(tiny, talks):
    folder, batch = tiny("llama"), one_batch(talks.table)
    whole, small = (
        SequenceClassifier(path=folder, device="cuda", batch_tokens=tokens).load()
        for tokens in (100_000, 1)
    )
    near(whole.score(batch), small.score(batch), 1e-4)


def test_rewards_and_states_of_a_step_are_those_of_the_cpu(tiny, talks):
    gpu, cpu = pair_of(tiny("llama"))
    rewards = [Reward().query(model, talks).table["reward"].to_numpy() for model in (gpu, cpu)]
    near(*rewards, 1e-4)
    for query in (HiddenState(part="both"), HiddenState(layer=1, pooling="mean")):
        one, other = (query.query(model, talks).table for model in (gpu, cpu))
        assert one.column_names == other.column_names
        for name in {"prompt", "response"} & set(one.column_names):
            near(*(np.stack(table[name].to_pylist()) for table in (one, other)), 1e-4)


def test_log_probabilities_are_those_of_the_cpu(tiny, talks):
    gpu, cpu = pair_of(tiny("qwen2", head="lm"), CausalLM)
    near(gpu.score(one_batch(talks.table)), cpu.score(one_batch(talks.table)), 1e-4)


@pytest.mark.parametrize(("quantized", "share"), [("nf4", 0.01), ("int8", 0.1)])
def test_quantized_weights_score_as_on_the_cpu(tiny, talks, quantized, share):
    pytest.importorskip("bitsandbytes")
    gpu, cpu = pair_of(tiny("llama"), quantization=quantized)
    assert gpu.network.device.type == "cuda"
    near(gpu.score(one_batch(talks.table)), cpu.score(one_batch(talks.table)), share)


def test_flash_attention_scores_as_the_usual_one(tiny, talks):
    pytest.importorskip("flash_attn", reason="flash_attn is not installed: it is not tested")
    batch = one_batch(talks.table)
    scores = []
    for attention in ("flash_attention_2", "sdpa"):
        params = {"attention": attention, "dtype": "bfloat16", "device": "cuda"}
        model = SequenceClassifier(path=tiny("llama"), **params).load()
        assert model.network.config._attn_implementation == attention
        scores.append(model.score(batch))
    near(*scores, 0.1)


def test_workers_use_the_gpu_that_this_process_has_used(tiny, talks, tmp_path):
    params = {"path": str(tiny("llama")), "device": "cuda"}
    SequenceClassifier(**params).load().score(one_batch(talks.table))
    steps = {
        "pairs": {"kind": "synthetic", "params": {"size": 64}},
        "model": {"kind": "sequence-classifier", "params": params},
        "reward": {"kind": "reward", "inputs": {"model": "model", "data": "pairs"}},
    }
    tables = []
    for workers in (1, 2):
        engine = {"workers": workers, "shard_rows": 4, "least_seconds": 0}
        spec = {"engine": {"kind": "local", "params": engine}, "steps": steps}
        tables.append(rmplug.run(spec, store=tmp_path / str(workers))["reward"].table)
    assert tables[0].equals(tables[1])
