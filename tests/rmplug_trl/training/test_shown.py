"""Examples of a training as the model reads them, beside its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from polite import base_of, polite_lists, polite_pairs, trained
from small_policies import Capitals, Loaded, small_policy

from rmplug import DataError
from rmplug.models.training_examples import MOST_CHARACTERS, ReadText, read_examples
from rmplug.testing import run_step, small_pairs
from rmplug_trl.policies.preference import Dpo
from rmplug_trl.policies.reinforcement import Grpo
from rmplug_trl.reward_models.losses import PlackettLuce


def test_the_first_pairs_are_kept_with_their_special_tokens(tmp_path: Path) -> None:
    made = trained("bert", tmp_path, polite_pairs(8), max_steps=1)
    examples = read_examples(made.directory)
    assert [[text.side for text in one.texts] for one in examples] == [["chosen", "rejected"]] * 3
    assert [one.texts[0].id for one in examples] == ["0-0", "0-1", "0-2"]
    first = examples[0].texts[0]
    assert first.begin.startswith("[CLS]")
    assert first.begin.count("[SEP]") == 2
    assert first.tokens > 5
    assert not first.cut


def test_a_training_keeps_no_examples_where_it_is_told_so(tmp_path: Path) -> None:
    made = trained("bert", tmp_path, polite_pairs(8), max_steps=1, keep_examples=False)
    assert not (made.directory / "examples.json").exists()
    assert read_examples(made.directory) == ()


def test_a_cut_text_says_so_and_has_the_tokens_that_are_learnt_from(tmp_path: Path) -> None:
    base = base_of("bert", tmp_path.parent / "models", max_length=8).load()
    made = trained("bert", tmp_path, polite_pairs(8), base=base, max_steps=1)
    texts = [text for one in read_examples(made.directory) for text in one.texts]
    assert {text.tokens for text in texts if text.cut} == {8}


def test_of_lists_every_response_is_kept_with_the_id_of_its_row(tmp_path: Path) -> None:
    made = trained("qwen2", tmp_path, polite_lists(6), loss=PlackettLuce(), max_steps=1)
    first = read_examples(made.directory)[0]
    assert [text.id for text in first.texts] == ["0-0-0", "0-0-1", "0-0-2"]


def test_policies_keep_pairs_or_prompts_as_they_read_them(tmp_path: Path) -> None:
    folder = small_policy(tmp_path / "policy").directory
    few = {"max_steps": 1, "num_train_epochs": 1}
    pairs = {"policy": Loaded(folder), "data": small_pairs(4)}
    learnt = run_step(Dpo(**few), pairs, tmp_path / "dpo")
    [chosen, rejected] = read_examples(learnt.directory)[0].texts
    question = small_pairs(4).table["prompt"][0].as_py()[0]["content"]
    assert question in chosen.begin and question in rejected.begin
    assert chosen.begin != rejected.begin
    asked = {"policy": Loaded(folder), "reward": [Capitals()], "prompts": small_pairs(4)}
    settings = {"num_generations": 4, "max_completion_length": 4}
    sampled = run_step(Grpo(**few, **settings), asked, tmp_path / "grpo")
    [prompt] = read_examples(sampled.directory)[0].texts
    assert prompt.side == "prompt"
    assert question in prompt.begin


def test_a_long_text_is_kept_from_both_ends_and_a_strange_file_is_refused(tmp_path: Path) -> None:
    text = ReadText.of("a", "chosen", "x" * 5000 + "y" * 5000, 9, cut=False)
    half = MOST_CHARACTERS // 2
    assert (text.begin, text.left_out, text.end) == ("x" * half, 10_000 - 2 * half, "y" * half)
    for bad in (b"[]", b"\xff", b'{"examples": [{"texts": [{"side": 1}]}]}', b"[" * 100_000):
        (tmp_path / "examples.json").write_bytes(bad)
        with pytest.raises(DataError, match="has no examples of a training; train again"):
            read_examples(tmp_path)
