"""Models that would score differently from how they were trained: each is refused in a sentence."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from direct import direct_model
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from rmplug import DataError, RmplugError
from rmplug.data.rows import one_batch
from rmplug_hf import SequenceClassifier


@pytest.fixture
def copy(tiny, tmp_path):
    """A copy of a tiny Llama classifier that may be damaged."""
    return shutil.copytree(tiny("llama"), tmp_path / "model")


def said(folder, **params):
    """What loading says."""
    with pytest.raises(RmplugError) as caught:
        SequenceClassifier(path=folder, **params).load()
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(folder), "MODEL")


def configured(folder, **entries):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def weighted(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def test_a_language_model_has_no_score_head(tiny):
    assert said(tiny("llama", head="lm")) == (
        "the weights in MODEL lack score.weight: they would be random numbers; the checkpoint was "
        "saved as LlamaForCausalLM, so load it as what it is, or train a head on it (linear-head, "
        "or head: new with reward-model)"
    )


def test_an_encoder_without_a_head_lacks_all_that_is_above_it(tiny):
    assert "lack classifier.bias, classifier.weight: they" in said(tiny("bert", head="none"))


def test_any_other_weight_that_is_missing_is_named_too(copy):
    weighted(copy, lambda weights: weights.pop("model.layers.1.mlp.up_proj.weight"))
    assert "lack model.layers.1.mlp.up_proj.weight: they would be random" in said(copy)


def test_labels_in_the_configuration_must_be_those_of_the_head(copy):
    configured(copy, id2label={"0": "good", "1": "bad"}, label2id={"good": 0, "bad": 1})
    assert said(copy) == (
        "score.weight in MODEL has the shape (1, 32), but config.json (with 2 labels) makes it "
        "(2, 32); config.json and weights are not of the same model, or num_labels and id2label "
        "are wrong"
    )


def test_weights_that_the_model_has_no_place_for_are_refused_unless_ignored(copy, talks):
    batch = one_batch(talks.table)
    before = SequenceClassifier(path=copy).load().score(batch)
    weighted(copy, lambda weights: weights.update({"v_head.summary.weight": torch.ones(1, 32)}))
    assert said(copy) == (
        "LlamaForSequenceClassification has no place for v_head.summary.weight in the weights of "
        "MODEL: it may have been trained with another head; set unused_weights: ignore if these "
        "are not needed"
    )
    after = SequenceClassifier(path=copy, unused_weights="ignore").load().score(batch)
    np.testing.assert_array_equal(before, after)


def test_a_tokenizer_with_more_tokens_than_the_model_is_of_another_model(copy):
    _, tokenizer = direct_model(copy)
    tokenizer.add_tokens([f"word{number}" for number in range(9)])
    tokenizer.save_pretrained(copy)
    assert said(copy) == (
        "the tokenizer in MODEL has tokens up to 428 ('word8'), but the model embeds 420: it is of "
        "another model; use the one that it was trained with"
    )


def test_pickled_weights_are_read_only_if_the_spec_says_so(copy, talks):
    batch = one_batch(talks.table)
    expected = SequenceClassifier(path=copy).load().score(batch)
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    assert said(copy) == (
        "the weights in MODEL are pickled (pytorch_model.bin), and reading a pickle can run any "
        "code; save them as safetensors, or set allow_pickle_weights: true if you trust them"
    )
    allowed = SequenceClassifier(path=copy, allow_pickle_weights=True).load()
    np.testing.assert_array_equal(allowed.score(batch), expected)


def test_a_pickle_is_not_read_where_safetensors_are(copy):
    (copy / "pytorch_model.bin").write_bytes(b"not even a pickle")
    SequenceClassifier(path=copy, allow_pickle_weights=True).load()


def test_a_truncated_file_of_weights_says_how_much_is_there(copy):
    path = copy / "model.safetensors"
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[: whole - 4000])
    assert said(copy) == (
        f"MODEL/model.safetensors is cut short or damaged: {whole - 4000:,} of {whole:,} bytes are "
        "there; copy or download it again"
    )


@pytest.mark.parametrize("size", [0, 5, 8, 200])
def test_a_file_of_weights_cut_in_its_list_of_tensors_is_damaged(copy, size):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    assert "damaged: its list of tensors cannot be read; copy or" in said(copy)


def test_a_git_lfs_pointer_is_no_file_of_weights(copy):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:12ab\nsize 99\n"
    (copy / "model.safetensors").write_text(pointer)
    assert "MODEL/model.safetensors is only a Git LFS pointer; fetch the file" in said(copy)


def test_a_missing_shard_is_named(copy):
    index = {"weight_map": {"score.weight": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "MODEL lacks 1 of 1 files of weights that model.safetensors.index.json" in said(copy)


def test_a_folder_without_weights_says_so(copy):
    (copy / "model.safetensors").unlink()
    assert said(copy).startswith("MODEL has no weights: neither model.safetensors nor")


def test_a_folder_without_a_configuration_is_no_model(tmp_path):
    assert said(tmp_path) == "MODEL is no folder of a model: it has no config.json"


def test_a_configuration_that_is_no_json_is_refused(copy):
    (copy / "config.json").write_text('{"model_type": ')
    assert said(copy).startswith("MODEL/config.json is no JSON file (")


def test_an_architecture_that_is_not_known_is_refused(copy):
    configured(copy, model_type="llama-from-tomorrow")
    assert said(copy).startswith("config.json in MODEL cannot be used: ")


def test_code_that_comes_with_a_model_runs_only_if_the_spec_says_so(copy):
    ran = copy / "ran"
    (copy / "configuration_mine.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    configured(copy, model_type="mine", auto_map={"AutoConfig": "configuration_mine.Mine"})
    assert said(copy) == (
        "the model in MODEL brings Python code of its own (mine); read it, and set "
        "trust_remote_code: true to run it"
    )
    assert not ran.exists()


def test_a_model_without_a_tokenizer_is_refused(copy):
    (copy / "tokenizer.json").unlink()
    assert "MODEL has no tokenizer (tokenizer.json); save the tokenizer" in said(copy)


def test_a_tokenizer_that_cannot_be_read_is_refused(copy):
    (copy / "tokenizer.json").write_text('{"version": "1.0"}')
    assert "the tokenizer in MODEL cannot be loaded: " in said(copy)


def test_a_tokenizer_without_a_chat_template_needs_a_stated_text(tiny):
    assert said(tiny("llama", chat=False)) == (
        "the tokenizer of MODEL has no chat template; say how the model was trained to read a "
        'conversation: template: "{prompt}\\n\\n{response}" (your text) or template: pair; in '
        "a command --param 'template=...'"
    )


def test_a_pad_token_that_is_none_is_refused(copy):
    assert said(copy, pad_token="<pad>") == "pad_token '<pad>' is no token of MODEL"


def test_more_tokens_than_the_model_has_positions_are_refused(copy):
    text = said(copy, max_length=512)
    assert text == "max_length 512 is more than the 256 positions of the model in MODEL"


@pytest.mark.skipif(torch.cuda.device_count() > 7, reason="this machine has the device")
def test_a_device_that_is_not_there_is_refused(copy):
    assert said(copy, device="cuda:7").startswith("there is no device cuda:7: ")


@pytest.fixture
def adapter(copy, tmp_path):
    from peft import LoraConfig, TaskType, get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(direct_model(copy)[0], LoraConfig(task_type=TaskType.SEQ_CLS, r=2))
        adapted.save_pretrained(str(tmp_path / "adapter"))
    return tmp_path / "adapter"


def test_an_adapter_alone_is_no_model(adapter, copy):
    assert said(adapter) == (
        f"MODEL is an adapter of {copy}, not a model; load that model and write adapter: MODEL"
    )


def test_an_adapter_of_another_model_does_not_fit(adapter, copy, tiny):
    text = said(tiny("bert"), adapter=adapter)
    assert text.startswith(f"the adapter {adapter} does not fit the model (")
    assert text.endswith(f"; it was trained on {copy}")


def test_an_adapter_that_lacks_a_weight_does_not_fit(adapter, copy):
    path = adapter / "adapter_model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("lora_A.weight"))
    del weights[name]
    save_file(weights, path)
    assert f"(it lacks {name.removeprefix('base_model.model.')})" in said(copy, adapter=adapter)


def test_an_adapter_that_is_truncated_pickled_or_gone_is_refused(adapter, copy):
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    assert "adapter_model.safetensors is cut short or damaged" in said(copy, adapter=adapter)
    path.unlink()
    assert "has no weights: adapter_model.safetensors is not there" in said(copy, adapter=adapter)
    (adapter / "adapter_model.bin").write_bytes(b"")
    assert "are pickled (adapter_model.bin)" in said(copy, adapter=adapter)
    (adapter / "adapter_config.json").unlink()
    assert "is no adapter: it has no adapter_config.json" in said(copy, adapter=adapter)


def test_a_conversation_that_the_chat_template_refuses_is_named(copy, talks):
    template = "{% if messages|length > 2 %}{{ raise_exception('only one turn') }}{% endif %}hello"
    (copy / "chat_template.jinja").write_text(template)
    model = SequenceClassifier(path=copy).load()
    with pytest.raises(DataError) as caught:
        model.score(one_batch(talks.table))
    assert str(caught.value) == (
        f"the chat template of {copy} refuses the conversation of several (roles user, assistant, "
        "user, assistant): only one turn"
    )


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "give either path (a folder) or name (on the hub)"),
        ({"path": "a", "name": "a/b"}, "give either path (a folder) or name (on the hub)"),
        ({"path": "a", "revision": "main"}, "revision belongs to name"),
        ({"path": "a", "template": "{prompt}"}, "a text with {response} once"),
        ({"path": "a", "template": "{promt}{response}"}, "template has {promt}; it can have {p"),
        ({"path": "a", "turn": "{role}: "}, "turn must have {content}"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(params, sentence):
    with pytest.raises(ValidationError) as caught:
        SequenceClassifier(**params)
    assert sentence in str(caught.value)
