"""Models that a stranger sends to compare texts: nothing runs or is fetched, one sentence each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rmplug import DataError
from rmplug.testing.tiny_models import tiny_model
from rmplug_hybrid.similarity._model_folder import read_model
from rmplug_hybrid.similarity._token_lengths import TokenCounterOpener


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_model("bert", tmp_path_factory.mktemp("tiny"), head="none")


@pytest.fixture
def sent(encoder, tmp_path):
    return Path(shutil.copytree(encoder, tmp_path / "sent"))


def said(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_model(folder, "AutoModel", "float32", "cpu")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(path: Path, **entries: object) -> None:
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **entries}))


@pytest.mark.parametrize(
    ("file", "entries", "sentence"),
    [
        ("config.json", {"_attn_implementation": "evil/kernel"}, "which is code of a hub"),
        ("adapter_config.json", {"base_model_name_or_path": "evil/base"}, "is an adapter"),
        ("config.json", {"num_hidden_layers": 10**6}, "which no model has"),
        ("config.json", {"vocab_size": 10**7, "hidden_size": 1024}, "describes a model of "),
    ],
)
def test_a_model_that_asks_for_more_than_to_compute_is_refused(sent, file, entries, sentence):
    changed(sent / file, **entries)
    assert sentence in said(sent)


def test_code_beside_the_weights_is_neither_run_nor_asked_about(sent, tmp_path, monkeypatch):
    def asked(*_):
        raise AssertionError("the terminal was asked")

    monkeypatch.setattr("builtins.input", asked)
    (sent / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nMine = None\n")
    changed(sent / "config.json", model_type="mine", auto_map={"AutoConfig": "mine.Mine"})
    assert "config.json in " in said(sent)
    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_that_makes_texts_endless_is_refused(sent):
    endless = {"type": "Replace", "pattern": {"String": "t"}, "content": "t" * 101}
    changed(sent / "tokenizer.json", normalizer=endless)
    assert "makes texts longer without bounds" in said(sent)
    with pytest.raises(DataError, match="makes texts longer without bounds"):
        TokenCounterOpener("whitespace", None, sent)()
