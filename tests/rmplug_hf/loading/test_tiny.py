from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file

from rmplug.testing.tiny_models import tiny_model, tiny_tokenizer

CLASSES = {
    "bert": ("BertForSequenceClassification", "BertForMaskedLM", "BertModel"),
    "gpt2": ("GPT2ForSequenceClassification", "GPT2LMHeadModel", "GPT2Model"),
    "llama": ("LlamaForSequenceClassification", "LlamaForCausalLM", "LlamaModel"),
    "qwen2": ("Qwen2ForSequenceClassification", "Qwen2ForCausalLM", "Qwen2Model"),
}


@pytest.mark.parametrize("architecture", CLASSES)
@pytest.mark.parametrize("place", range(3))
def test_a_tiny_model_is_of_its_real_class(tiny, architecture, place):
    folder = tiny(architecture, head=("score", "lm", "none")[place])
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == [CLASSES[architecture][place]]


@pytest.mark.parametrize("architecture", CLASSES)
def test_the_same_seed_gives_the_same_model_and_another_seed_another(architecture, tmp_path):
    one, same, other = (
        tiny_model(architecture, tmp_path / name, seed=seed)
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    weights = {p: load_file(p / "model.safetensors") for p in (one, same, other)}
    name = next(name for name, tensor in weights[one].items() if tensor.ndim == 2)
    assert all(weights[one][key].equal(weights[same][key]) for key in weights[one])
    assert not weights[one][name].equal(weights[other][name])
    assert (one / "tokenizer.json").read_text() == (same / "tokenizer.json").read_text()


def test_a_model_that_is_there_is_not_made_again(tmp_path):
    folder = tiny_model("gpt2", tmp_path)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert tiny_model("gpt2", tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert tiny_model("gpt2", tmp_path, labels=3) != folder


@pytest.mark.parametrize("architecture", CLASSES)
def test_tokenizers_read_any_text_and_give_it_back(architecture):
    tokenizer = tiny_tokenizer(architecture)
    text = "how do i boil 12 eggs?"
    found = tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True)
    assert found == text


@pytest.mark.parametrize("architecture", CLASSES)
def test_what_a_model_knows_as_padding_can_be_chosen(tiny, architecture):
    def pad(**options):
        config = json.loads((tiny(architecture, **options) / "config.json").read_text())
        return config.get("pad_token_id")

    tokenizer = tiny_tokenizer(architecture)
    assert pad() == tokenizer.pad_token_id
    assert pad(pad="none") is None
    ends = tokenizer.sep_token_id if architecture == "bert" else tokenizer.eos_token_id
    assert pad(pad="eos") == ends
