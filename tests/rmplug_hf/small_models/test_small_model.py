from __future__ import annotations

import numpy as np
import pytest

from rmplug import DataError
from rmplug.data.sides import side_of
from rmplug.models.trainable import TrainableModel
from rmplug.testing import check_step, run_step, small_pairs
from rmplug_hf.queries.likelihood import LogProb
from rmplug_hf.small_models.small_models import SmallModel

DECODERS = ("gpt2", "llama", "qwen2")
SMALL = {"vocab_size": 400, "hidden_size": 16, "max_position_embeddings": 256}


def made(folder, data=None, seed=0, **params):
    inputs = {} if data is None else {"data": data}
    return run_step(SmallModel(**{**SMALL, **params}), inputs, folder, seed=seed)


def chosen(pairs):
    return side_of(pairs.table.to_batches()[0], "chosen")


def test_a_small_model_keeps_every_promise_of_a_step():
    params = {**SMALL, "opens_as": "causal-lm"}
    check_step(SmallModel, params, {"data": small_pairs(6)}, tolerance=1e-4)


@pytest.mark.parametrize("architecture", DECODERS)
def test_a_decoder_opens_as_a_language_model_that_can_be_trained(architecture, tmp_path):
    checkpoint = made(tmp_path, small_pairs(), architecture=architecture, opens_as="causal-lm")
    model = checkpoint.open()
    assert isinstance(model, TrainableModel)
    assert not model.has_new_head
    assert type(model.network).__name__.lower().startswith(architecture)
    likelihood = run_step(LogProb(), {"model": checkpoint.open(), "data": small_pairs()}, tmp_path)
    assert np.all(np.asarray(likelihood["chosen.policy.sum"]) < 0)


@pytest.mark.parametrize("architecture", (*DECODERS, "bert"))
def test_a_classifier_awaits_training_of_its_head(architecture, tmp_path):
    model = made(tmp_path, architecture=architecture, outputs=["help", "harm"]).open()
    assert isinstance(model, TrainableModel)
    assert model.has_new_head and model.outputs == ("help", "harm")
    with pytest.raises(DataError, match="train"):
        model.score(chosen(small_pairs()))
    model.draw_head(3)
    scores = model.score(chosen(small_pairs()))
    assert scores.shape == (len(small_pairs()), 2) and np.isfinite(scores).all()


def test_texts_teach_the_tokenizer_longer_tokens_and_any_text_has_tokens(tmp_path):
    pairs = small_pairs(40)
    bytes_alone = made(tmp_path / "bytes", opens_as="causal-lm").open()
    learned = made(tmp_path / "learned", pairs, opens_as="causal-lm").open()
    count = [sum(len(r.ids) for r in m.token_rows(chosen(pairs))) for m in (bytes_alone, learned)]
    assert count[1] < 0.8 * count[0]
    text = "Żółw 😀\n\t<b>"
    for model in (bytes_alone, learned):
        assert model.tokenizer.decode(model.tokenizer(text)["input_ids"]) == text


def test_another_seed_gives_other_weights_and_the_same_tokenizer(tmp_path):
    one, other = (made(tmp_path / str(n), small_pairs(), seed=n).directory for n in (0, 1))
    read = [(f / "model.safetensors").read_bytes() for f in (one, other)]
    assert read[0] != read[1]
    assert (one / "tokenizer.json").read_bytes() == (other / "tokenizer.json").read_bytes()


def test_the_template_of_the_spec_is_how_the_model_reads(tmp_path):
    template = "Human: {prompt}\n\nAssistant: {response}{eos}"
    model = made(tmp_path, template=template, opens_as="causal-lm").open()
    text = model.tokenizer.decode(model.token_rows(chosen(small_pairs()))[0].ids)
    assert text.startswith("Human: ") and text.endswith("<|im_end|>")


def test_a_file_that_asks_for_more_than_a_format_is_refused(tmp_path):
    folder = made(tmp_path).directory
    use = '{"kind": "sequence-classifier", "trust_remote_code": true}'
    (folder / "small-model.json").write_text(use)
    with pytest.raises(DataError, match="not as small-model wrote it"):
        SmallModel.open(folder)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"architecture": "bert", "opens_as": "causal-lm"}, "bert is no causal language model"),
        ({"hidden_size": 10}, "even multiple of num_attention_heads"),
    ],
)
def test_sizes_and_uses_that_do_not_fit_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        SmallModel(**params)
