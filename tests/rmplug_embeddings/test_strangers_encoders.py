"""Sentence encoders as a stranger might send them: nothing runs, one sentence each."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from rmplug import DataError
from rmplug_embeddings import SentenceEmbedding, _encoders

REPEATING = {"type": "Replace", "pattern": {"String": "t"}, "content": "t" * 101}


@pytest.fixture
def sent(tiny_encoder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "sent"
    shutil.copytree(tiny_encoder, folder)
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nMine = None\n")
    return folder


def said(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        _encoders.open_encoder(SentenceEmbedding(path=folder, device="cpu"))
    assert "\n" not in str(caught.value)
    assert not (folder.parent / "ran").exists()
    return str(caught.value)


def module(folder: Path, **entries: str) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[1] |= entries
    (folder / "modules.json").write_text(json.dumps(modules))


@pytest.mark.parametrize(
    "kind",
    ["mine.Mine", "os.system", "sentence_transformers.models.Router", "sentence_tr"],
)
def test_a_module_that_does_more_than_to_compute_is_refused(sent, kind):
    module(sent, type=kind)
    assert f"modules.json names the module {kind}; modules of sentence-transformers" in said(sent)


@pytest.mark.parametrize("where", ["../elsewhere", "/etc"])
def test_a_module_outside_the_folder_is_refused(sent, where):
    module(sent, path=where)
    assert f"names the folder {where}, which is not inside" in said(sent)


@pytest.mark.parametrize("content", ["[" * 200_000, "7", "[7]", "{", "[{}]"])
def test_a_list_of_modules_that_is_none_is_refused(sent, content):
    (sent / "modules.json").write_text(content)
    assert "modules.json" in said(sent)


def test_a_function_that_is_not_of_torch_is_refused(sent):
    module(sent, type="sentence_transformers.models.Dense")
    settings = {"in_features": 32, "out_features": 32, "activation_function": "mine.Mine"}
    (sent / "1_Pooling/config.json").write_text(json.dumps(settings))
    assert "asks for the function mine.Mine, which is not of torch.nn" in said(sent)


@pytest.mark.parametrize(
    "settings",
    [
        {"tokenizer_name_or_path": "evil/tokens"},
        {"model_args": {"trust_remote_code": True}},
        {"tokenizer_args": {"cache_dir": "/tmp"}},
    ],
)
def test_settings_that_point_elsewhere_are_refused(sent, settings):
    (sent / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 9, **settings}))
    assert "sentence_bert_config.json asks for " in said(sent)


def test_a_kernel_of_the_hub_is_refused(sent):
    settings = {"max_seq_length": 9, "model_args": {"attn_implementation": "evil/kernel"}}
    (sent / "sentence_bert_config.json").write_text(json.dumps(settings))
    assert "asks for attn_implementation: evil/kernel, which is code of a hub" in said(sent)


def test_pickled_weights_are_refused(sent):
    (sent / "model.safetensors").unlink()
    (sent / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    assert "are pickled (pytorch_model.bin)" in said(sent)


@pytest.fixture
def nested(sent: Path) -> Path:
    """The same encoder, its transformer in a folder of its own."""
    inner = sent / "0_Transformer"
    inner.mkdir()
    for file in [each for each in sent.iterdir() if each.is_file()]:
        if file.name not in ("modules.json", "mine.py"):
            file.rename(inner / file.name)
    modules = json.loads((sent / "modules.json").read_text())
    modules[0]["path"] = inner.name
    (sent / "modules.json").write_text(json.dumps(modules))
    return sent


def changed(path: Path, **entries: object) -> None:
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **entries}))


def test_an_encoder_in_a_folder_inside_is_opened(nested):
    encoder = _encoders.open_encoder(SentenceEmbedding(path=nested, device="cpu"))
    assert encoder.encode(["a text"]).shape == (1, 32)


@pytest.mark.parametrize(
    ("file", "entries", "sentence"),
    [
        ("config.json", {"_attn_implementation": "evil/kernel"}, "which is code of a hub"),
        (
            "sentence_bert_config.json",
            {"model_args": {"attn_implementation": "evil/kernel"}},
            "which is code of a hub",
        ),
        ("sentence_bert_config.json", {"tokenizer_name_or_path": "evil/t"}, "asks for tokenizer_"),
        ("adapter_config.json", {"base_model_name_or_path": "evil/base"}, "is an adapter"),
        ("config.json", {"num_hidden_layers": 10**6}, "which no model has"),
        ("config.json", {"vocab_size": 10**7, "hidden_size": 1024}, "describes a model of "),
        ("tokenizer.json", {"normalizer": REPEATING}, "makes texts longer without bounds"),
    ],
)
def test_a_folder_inside_is_checked_like_the_one_around_it(nested, file, entries, sentence):
    changed(nested / "0_Transformer" / file, **entries)
    assert sentence in said(nested)


@pytest.mark.parametrize("entries", [{"in_features": 10**6}, {"out_features": "many"}])
def test_a_layer_of_another_size_than_its_weights_is_refused(sent, entries):
    module(sent, type="sentence_transformers.models.Dense")
    folder = sent / "1_Pooling"
    changed(folder / "config.json", **{"in_features": 32, "out_features": 32, **entries})
    save_file({"linear.weight": np.zeros((32, 32), np.float32)}, folder / "model.safetensors")
    assert "dimensions, which its weights do not have" in said(sent)


def test_a_list_of_endless_layers_is_refused(sent):
    module(sent, type="sentence_transformers.models.WeightedLayerPooling")
    settings = {"embedding_dimension": 32, "num_hidden_layers": 2, "layer_start": -(10**9)}
    (sent / "1_Pooling/config.json").write_text(json.dumps(settings))
    assert "says layer_start: -1000000000, which no model has" in said(sent)
