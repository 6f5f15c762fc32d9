"""A folder or a name is enough to score texts from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import rmplug
from rmplug.testing.tiny_models import tiny_model

HEAD = Path(__file__).resolve().parents[2] / "examples" / "data" / "minilm-head"


def test_a_folder_with_a_classifier_is_recognised(tmp_path: Path) -> None:
    folder = tiny_model("llama", tmp_path / "model", head="score", labels=1, chat=True)
    scorer = rmplug.load(folder)
    ranked = scorer.rank("Say hello.", ["Hello!", "No.", "Good day to you"])
    assert [entry.rank for entry in ranked] == [1, 2, 3]
    alone = scorer.score("Say hello.", ranked[0].response)
    assert ranked[0].reward == pytest.approx(alone, abs=1e-5)


def test_a_saved_head_is_recognised_and_its_encoder_found() -> None:
    scorer = rmplug.load(HEAD)
    found = scorer.compare(
        "Is 91 prime?", "No: 91 is 7 times 13.", "Great question! Yes, 91 is prime."
    )
    assert found.margin == pytest.approx(found.a - found.b)
    assert found.probability > 0.5


def test_a_folder_without_a_reward_is_not(tmp_path: Path) -> None:
    folder = tiny_model("gpt2", tmp_path / "model", head="lm")
    with pytest.raises(rmplug.RmplugError, match="no model that an installed kind recognises"):
        rmplug.load(folder)
