"""The model that a training starts from: its head and its template, found from its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rmplug.errors import DataError
from rmplug.models.starting_model import DIALOGUE, loading_of
from rmplug.testing.tiny_models import tiny_model


def test_the_installed_encoder_gets_a_head_and_two_segments() -> None:
    assert loading_of("minilm") == {"name": "minilm", "head": "new", "template": "pair"}


def test_a_language_model_gets_a_head_and_keeps_its_chat_template(tmp_path: Path) -> None:
    folder = tiny_model("qwen2", tmp_path, head="lm")
    assert loading_of(str(folder)) == {"path": str(folder), "head": "new"}


def test_a_decoder_without_a_chat_template_is_read_as_a_dialogue(tmp_path: Path) -> None:
    folder = tiny_model("gpt2", tmp_path, head="none", chat=False)
    assert loading_of(str(folder))["template"] == DIALOGUE


def test_an_encoder_without_a_chat_template_is_read_in_two_segments(tmp_path: Path) -> None:
    folder = tiny_model("bert", tmp_path, head="lm", chat=False)
    assert loading_of(str(folder)) == {"path": str(folder), "head": "new", "template": "pair"}


@pytest.mark.parametrize(("labels", "head"), [(1, {}), (3, {"head": "new"})])
def test_a_classifier_with_one_output_keeps_its_head(
    tmp_path: Path, labels: int, head: dict[str, str]
) -> None:
    folder = tiny_model("llama", tmp_path, head="score", labels=labels)
    assert loading_of(str(folder)) == {"path": str(folder), **head}


def test_what_was_trained_before_says_itself_how_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text(json.dumps({}))
    assert loading_of(str(tmp_path)) == {"path": str(tmp_path)}


def test_a_file_and_a_folder_without_a_model_are_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(DataError, match="is a file; give the folder of a model"):
        loading_of(str(file))
    with pytest.raises(DataError, match=r"config\.json is no JSON file"):
        loading_of(str(tmp_path))
