"""Weights in 4 or 8 bits, by the real bitsandbytes on a CPU."""

from __future__ import annotations

import importlib.metadata
import json
import shutil

import numpy as np
import pytest

from rmplug import DataError
from rmplug.data.rows import one_batch
from rmplug_hf import CausalLM, SequenceClassifier
from rmplug_hf.loading import quantization

pytest.importorskip("bitsandbytes")
ERROR = {"nf4": 0.5, "int8": 0.05}
"""By how much scores may differ from those of the whole weights, as a share of their spread."""


def load(folder, quantized="none", **params):
    return SequenceClassifier(path=folder, device="cpu", quantization=quantized, **params).load()


def layers(model):
    return {name: type(part).__name__ for name, part in model.network.named_modules()}


@pytest.mark.parametrize(("quantized", "kind"), [("nf4", "Linear4bit"), ("int8", "Linear8bitLt")])
@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama"])
def test_all_linear_layers_are_quantized_but_those_of_the_head(
    tiny, talks, architecture, quantized, kind
):
    folder, batch = tiny(architecture, labels=2), one_batch(talks.table)
    template = {"template": "pair"} if architecture == "bert" else {}
    whole, model = (load(folder, bits, **template) for bits in ("none", quantized))
    of_head = ("score", "classifier", "bert.pooler.dense")
    for name, was in layers(whole).items():
        rounded = was in ("Linear", "Conv1D") and name not in of_head
        assert layers(model)[name] == (kind if rounded else was), name
    exact, scores = (each.score(batch) for each in (whole, model))
    apart = np.abs(scores - exact).max() / np.ptp(exact)
    assert 1e-4 < apart < ERROR[quantized]
    # a head of its own is in the numbers that the spec says
    assert str(model.network.dtype) == "torch.float32"


@pytest.mark.parametrize("quantized", ["nf4", "int8"])
def test_scores_of_quantized_weights_do_not_depend_on_the_batch_or_on_what_was_scored_before(
    tiny, talks, quantized
):
    batch, model = one_batch(talks.table), load(tiny("llama"), quantized)
    first = model.score(batch)
    alone = [model.score(batch.slice(row, 1))[0] for row in range(batch.num_rows)]
    np.testing.assert_allclose(alone, first, rtol=0, atol=1e-5)
    model.network.train()
    np.testing.assert_array_equal(model.score(batch), first)


def test_a_policy_is_quantized_but_the_head_that_gives_its_probabilities(tiny, talks):
    policy = CausalLM(path=tiny("llama", head="lm"), device="cpu", quantization="nf4").load()
    assert layers(policy)["lm_head"] == "Linear"
    assert layers(policy)["model.layers.0.mlp.up_proj"] == "Linear4bit"
    assert np.isfinite(policy.score(one_batch(talks.table))).all()


def test_an_adapter_is_not_merged_into_quantized_weights(tiny, tmp_path):
    step = SequenceClassifier(
        path=tiny("llama"), adapter=tmp_path, merge_adapter=True, quantization="nf4"
    )
    found = dict(step.mistakes({}))
    assert found["merge_adapter"] == (
        "an adapter merged into nf4 weights is rounded with them and scores otherwise; leave "
        "merge_adapter out"
    )
    assert "quantization" not in found


def test_weights_that_are_quantized_already_are_not_quantized_again(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="are quantized already; leave out quantization$"):
        load(folder, "nf4")


def test_a_library_that_is_missing_is_told_with_the_line_that_installs_it(tiny, monkeypatch):
    def version(name):
        if name == "bitsandbytes":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(quantization, "version", version)
    step = SequenceClassifier(path=tiny("llama"), quantization="int8", device="cpu")
    sentence = "quantization: int8 needs bitsandbytes: pip install 'rmplug[quantized]'"
    assert dict(step.mistakes({})) == {"quantization": sentence}
    with pytest.raises(DataError) as error:
        step.load()
    assert str(error.value) == sentence


def test_the_fingerprint_knows_the_libraries_that_quantize(tiny):
    whole, quantized = (
        SequenceClassifier(path=tiny("llama"), quantization=bits) for bits in ("none", "nf4")
    )
    assert whole.identity() == {}
    assert set(quantized.identity()) == {"bitsandbytes", "accelerate"}
