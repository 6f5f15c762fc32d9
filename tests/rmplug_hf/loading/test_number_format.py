"""The number format that `dtype: auto` stands for, on processors that are fast or slow in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rmplug.data.rows import one_batch
from rmplug.models import number_formats
from rmplug.notices import collect_notices, merged
from rmplug_hf import CausalLM, Encoder, SequenceClassifier

AMX = "processor : 0\nflags\t\t: fpu avx512f avx512_bf16 amx_bf16 amx_tile\n"
FP16 = "flags : avx512_fp16\n"
ARM = "processor : 0\nFeatures : fp asimd bf16\n"
PLAIN = "processor : 0\nflags\t\t: fpu avx2 avx512f\nbugs : bf16\n"


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """``processor(text)``: a machine whose processor is described so; None says nothing."""

    def described(text):
        file = tmp_path / "cpuinfo"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        monkeypatch.setattr(number_formats, "PROCESSOR", file)
        number_formats.slow_formats.cache_clear()

    yield described
    monkeypatch.undo()
    number_formats.slow_formats.cache_clear()


@pytest.fixture(scope="module")
def half(tiny, tmp_path_factory):
    """``half("bfloat16")``: the folder of a classifier in that format."""
    folder = tmp_path_factory.mktemp("half")

    def saved(name):
        if not (folder / name).exists():
            model = SequenceClassifier(path=tiny("llama"), dtype=name).load()
            model.save(folder / name, model.network)
        return folder / name

    return saved


@pytest.mark.parametrize(
    ("text", "slow"),
    [
        (AMX, {"float16"}),
        (FP16, {"bfloat16"}),
        (ARM, {"float16"}),
        (PLAIN, {"bfloat16", "float16"}),
        (None, {"bfloat16", "float16"}),
    ],
)
def test_formats_that_a_processor_is_slow_in_are_known(processor, text, slow):
    processor(text)
    assert number_formats.slow_formats() == slow


@pytest.mark.parametrize(
    ("text", "stated", "loaded"),
    [
        (PLAIN, "bfloat16", torch.float32),
        (PLAIN, "float16", torch.float32),
        (AMX, "bfloat16", torch.bfloat16),
        (AMX, "float16", torch.float32),
        (FP16, "float16", torch.float16),
    ],
)
def test_auto_takes_no_format_that_the_processor_is_slow_in(processor, half, text, stated, loaded):
    step = SequenceClassifier(path=half(stated), device="cpu")
    processor(text)
    with collect_notices() as notices:
        network = step.load().network
    assert network.dtype == loaded
    widened = loaded == torch.float32
    assert step.identity() == ({"dtype": "float32"} if widened else {})
    what = f"{stated} weights are computed in float32, in which this processor is faster"
    said = [(f"{what} (dtype: {stated} keeps them)", 1, [stated], "models")]
    assert [(n.what, n.count, n.ids, n.of) for n in notices.values()] == said * widened


def test_widened_weights_score_as_in_float32(processor, half, talks):
    processor(PLAIN)
    batch = one_batch(talks.table)
    auto, whole, kept = (
        SequenceClassifier(path=half("bfloat16"), device="cpu", dtype=dtype).load().score(batch)
        for dtype in ("auto", "float32", "bfloat16")
    )
    np.testing.assert_array_equal(auto, whole)
    assert np.abs(whole - kept).max() > 1e-4


def test_a_format_that_is_asked_for_is_kept_whatever_the_processor(processor, half):
    processor(PLAIN)
    step = SequenceClassifier(path=half("bfloat16"), device="cpu", dtype="bfloat16")
    assert step.load().network.dtype == torch.bfloat16
    assert step.identity() == {}
    assert SequenceClassifier(path=half("bfloat16"), device="cuda").identity() == {}


def test_weights_of_32_bits_are_what_they_were_on_any_processor(processor, tiny):
    step = CausalLM(path=tiny("llama", head="lm"), device="cpu")
    with collect_notices() as notices:
        for text in (PLAIN, AMX):
            processor(text)
            assert step.identity() == {}
            assert step.load().network.dtype == torch.float32
    assert not notices


def test_a_model_that_every_worker_opens_is_counted_once(processor, half):
    processor(PLAIN)
    found = []
    for _ in range(2):
        with collect_notices() as notices:
            SequenceClassifier(path=half("bfloat16"), device="cpu").load()
        found += notices.values()
    assert [n.count for n in merged(found)] == [1]


def test_what_was_noticed_of_a_network_is_told_to_each_encoder_that_uses_it(half, processor):
    processor(PLAIN)
    models, found = [], []
    for _ in range(2):
        with collect_notices() as notices:
            models.append(Encoder(path=half("bfloat16"), device="cpu").load())
        found.append([(n.what, n.count) for n in notices.values()])
    assert models[0].loaded is models[1].loaded and found[0] == found[1] != []
