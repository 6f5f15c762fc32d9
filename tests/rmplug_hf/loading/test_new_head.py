"""A new head on a checkpoint that lacks one, and the contract by which it is trained."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from rmplug import DataError
from rmplug.data.rows import one_batch
from rmplug.models.trainable import TrainableModel
from rmplug_hf import CausalLM, SequenceClassifier

ARCHITECTURES = ["bert", "gpt2", "llama", "qwen2"]


def with_new_head(folder, **params):
    params = {"path": folder, "head": "new", "device": "cpu", **params}
    return SequenceClassifier(**params).load()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("head", ["none", "lm", "score"])
def test_a_head_is_drawn_the_same_for_a_seed_whatever_ran_before(tiny, talks, architecture, head):
    folder, batch = tiny(architecture, head=head, labels=2), one_batch(talks.table)
    one, other, different = (with_new_head(folder) for _ in range(3))
    one.draw_head(7)
    torch.rand(3)
    other.draw_head(7)
    different.draw_head(8)
    assert one.score(batch).shape == (len(talks), 1)
    np.testing.assert_array_equal(one.score(batch), other.score(batch))
    assert np.abs(one.score(batch) - different.score(batch)).max() > 0.01


def test_only_what_the_checkpoint_lacks_is_drawn(tiny):
    model = with_new_head(tiny("bert", head="lm"))
    before = {name: p.clone() for name, p in model.network.named_parameters()}
    model.draw_head(1)
    drawn = [n for n, p in model.network.named_parameters() if not torch.equal(p, before[n])]
    # biases are drawn too, as zeros
    assert sorted(drawn) == ["bert.pooler.dense.weight", "classifier.weight"]
    assert model.network.bert.pooler.dense.weight.std().item() == pytest.approx(0.3, rel=0.1)


def test_drawing_leaves_the_random_numbers_of_others_alone(tiny):
    model = with_new_head(tiny("gpt2", head="none"))
    torch.manual_seed(5)
    model.draw_head(1)
    found = torch.rand(1)
    torch.manual_seed(5)
    assert found == torch.rand(1)


def test_a_head_that_nobody_has_drawn_does_not_score(tiny, talks):
    folder = tiny("llama", head="lm")
    model = with_new_head(folder)
    assert model.has_new_head
    with pytest.raises(DataError) as error:
        model.score(one_batch(talks.table))
    assert str(error.value) == (
        f"{folder} cannot score: its head is random numbers; train it with reward-model"
    )


def test_outputs_name_the_labels_of_a_new_head(tiny):
    model = with_new_head(tiny("qwen2", head="none"), outputs=("helpful", "honest", "brief"))
    assert model.outputs == ("helpful", "honest", "brief")
    assert model.network.config.num_labels == 3
    assert model.network.config.id2label == {0: "helpful", 1: "honest", 2: "brief"}
    assert model.network.score.weight.shape == (3, 32)
    assert SequenceClassifier(path="a", head="new").foresee({}).outputs == ("reward",)
    with pytest.raises(ValidationError, match="at least 1 item"):
        SequenceClassifier(path="a", outputs=())


def test_a_whole_head_is_not_replaced_in_silence(tiny):
    with pytest.raises(DataError, match="has a head with outputs as many as the new one; leave"):
        with_new_head(tiny("llama"))


def test_weights_that_are_of_no_head_are_refused(tiny, tmp_path):
    from shutil import copytree

    from safetensors.torch import load_file, save_file

    folder = copytree(tiny("llama", head="lm"), tmp_path / "odd")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.odd.weight"] = torch.ones(2)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="no place for model.layers.0.odd.weight"):
        with_new_head(folder)
    del weights["model.layers.0.odd.weight"], weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="lack model.norm.weight"):
        with_new_head(folder)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
@pytest.mark.parametrize("pad", ["own", "eos", "none"])
def test_configuration_tokenizer_and_batches_agree_on_padding(tiny, talks, architecture, pad):
    model = with_new_head(tiny(architecture, head="none", pad=pad))
    assert 0 <= model.padding < model.loaded.vocabulary
    assert model.padding == model.network.config.pad_token_id == model.tokenizer.pad_token_id
    model.draw_head(0)
    batch = one_batch(talks.table)
    alone = [model.score(batch.slice(row, 1))[0] for row in range(batch.num_rows)]
    np.testing.assert_allclose(model.score(batch), alone, rtol=0, atol=1e-5)


def test_a_pad_token_outside_the_vocabulary_is_not_taken(tiny, tmp_path):
    import json
    from shutil import copytree

    folder = copytree(tiny("qwen2", head="none"), tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": -1}))
    model = with_new_head(folder)
    assert model.padding == model.tokenizer.pad_token_id == model.network.config.pad_token_id == 0


def test_a_trained_head_without_a_pad_token_is_not_trained_further(tiny, talks):
    folder = tiny("llama", pad="none")
    with pytest.raises(DataError, match="names no pad token that its head can be trained with"):
        SequenceClassifier(path=folder).load().token_rows(one_batch(talks.table))
    named = SequenceClassifier(path=folder, pad_token="<|pad|>").load()
    assert len(named.token_rows(one_batch(talks.table))) == len(talks)
    assert named.padding == named.network.config.pad_token_id == 0


def test_a_new_head_is_in_float32_unless_the_spec_says_otherwise(tiny, tmp_path):
    half = SequenceClassifier(path=tiny("llama", head="score", labels=2), dtype="bfloat16").load()
    half.save(tmp_path / "half", half.network)
    half.tokenizer.save_pretrained(tmp_path / "half")
    assert SequenceClassifier(path=tmp_path / "half").load().network.dtype == torch.bfloat16
    assert with_new_head(tmp_path / "half").network.dtype == torch.float32
    assert with_new_head(tmp_path / "half", dtype="bfloat16").network.dtype == torch.bfloat16


def test_the_installed_minilm_takes_a_new_head(talks):
    step = SequenceClassifier(name="minilm", template="pair", head="new", device="cpu")
    assert set(step.identity()) == {"weights"}
    model = step.load()
    assert model.loaded.new_head == ("classifier.bias", "classifier.weight")
    model.draw_head(0)
    row = model.token_rows(one_batch(talks.table), bounds=True)[0]
    assert row.segments is not None and row.segments[row.start : row.end].all()
    assert model.tokenizer.convert_ids_to_tokens([row.ids[0], row.ids[-1]]) == ["[CLS]", "[SEP]"]
    assert model.score(one_batch(talks.table)).std() > 0.001


def test_a_network_in_training_scores_without_dropout_and_stays_in_training(tiny, talks):
    model, batch = SequenceClassifier(path=tiny("gpt2")).load(), one_batch(talks.table)
    before = model.score(batch)
    model.network.train()
    np.testing.assert_array_equal(model.score(batch), before)
    assert model.network.training and model.network.transformer.drop.training


def test_classifiers_and_language_models_are_trainable(tiny, talks):
    for model in (
        with_new_head(tiny("bert", head="none")),
        SequenceClassifier(path=tiny("llama")).load(),
        CausalLM(path=tiny("llama", head="lm")).load(),
    ):
        assert isinstance(model, TrainableModel)
    assert not model.has_new_head
    assert model.padding == model.network.config.pad_token_id


@pytest.mark.parametrize("ending", [True, False])
def test_the_bounds_of_a_policy_are_the_tokens_whose_probability_counts(tiny, talks, ending):
    model = CausalLM(path=tiny("qwen2", head="lm"), ending=ending).load()
    rows = model.token_rows(one_batch(talks.table), bounds=True)
    counted = model.log_probs(one_batch(talks.table)).tokens
    assert [row.end - row.start for row in rows] == counted.tolist()
    text = model.tokenizer.decode(rows[0].ids[rows[0].start : rows[0].end])
    written = talks.table.to_pylist()[0]["response"][0]["content"]
    assert text == written + ("<|im_end|>\n" if ending else "")


def test_the_tokens_of_training_begin_with_one_bos(tiny, talks):
    for template in ("chat", "{prompt}\n\n{response}", "{bos}{prompt}\n\n{response}{eos}"):
        model = with_new_head(tiny("llama", head="lm"), template=template)
        for row in model.token_rows(one_batch(talks.table)):
            assert (row.ids == model.tokenizer.bos_token_id).sum() == 1
            assert row.ids[0] == model.tokenizer.bos_token_id


def test_a_model_with_a_merged_adapter_is_trained_but_not_with_another_one(tiny, talks, tmp_path):
    from direct import direct_model
    from peft import LoraConfig, TaskType, get_peft_model
    from test_classifier import adapter_of

    folder = tiny("llama")
    adapter, _ = adapter_of(direct_model(folder)[0], tmp_path / "adapter")
    merged = SequenceClassifier(path=folder, adapter=adapter, merge_adapter=True).load()
    assert merged.token_rows(one_batch(talks.table))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the two libraries deprecate parts of each other
        get_peft_model(merged.network, LoraConfig(task_type=TaskType.SEQ_CLS, r=2))
    advice = "has the adapter .* in its weights, .* set merge_adapter: false .* leave lora out to"
    with pytest.raises(DataError, match=advice):
        merged.token_rows(one_batch(talks.table))
    beside = SequenceClassifier(path=folder, adapter=adapter, merge_adapter=False).load()
    assert beside.adapted is not None
    assert beside.token_rows(one_batch(talks.table))


def test_one_output_of_several_is_not_trained_alone(tiny, talks):
    model = SequenceClassifier(path=tiny("bert", labels=2), only="LABEL_1").load()
    with pytest.raises(DataError, match="only: LABEL_1 is for scoring; leave it out of training"):
        model.token_rows(one_batch(talks.table))
