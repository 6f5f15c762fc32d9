"""Lengths in tokens."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from pydantic import ValidationError

from rmplug import DataError, Pairs
from rmplug.testing import check_step, small_pairs
from rmplug.testing.tiny_models import tiny_tokenizer
from rmplug_hybrid.similarity.token_lengths import TokenLengths


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer("llama").save_pretrained(place)
    return place


def rows(step, data):
    table = step.compute(data).table.select(list(step.foresee({}).columns))
    return [tuple(row.values()) for row in table.to_pylist()]


def test_lengths_are_told_shorter_first_whichever_is_chosen():
    texts = {"prompt": ["one two three", ""], "chosen": ["a b", "a b c d"], "rejected": ["a", ""]}
    assert rows(TokenLengths(), Pairs({"id": ["x", "y"], **texts})) == [(3, 1, 2, 1), (0, 0, 4, 4)]


def test_tokens_are_those_of_the_tokenizer_without_special_ones(folder):
    tokenizer = tiny_tokenizer("llama")
    data = small_pairs()
    found = rows(TokenLengths(path=folder), data)
    for row, told in zip(data.table.to_pylist(), found, strict=True):
        prompt, chosen, rejected = (
            len(tokenizer(row[side][0]["content"], add_special_tokens=False)["input_ids"])
            for side in ("prompt", "chosen", "rejected")
        )
        shorter, longer = sorted((chosen, rejected))
        assert told == (prompt, shorter, longer, longer - shorter)


def test_nothing_is_cut_even_if_the_tokenizer_would(folder, tmp_path):
    from tokenizers import Tokenizer

    cutting = Tokenizer.from_file(str(folder / "tokenizer.json"))
    cutting.enable_truncation(4)
    cutting.enable_padding(length=9)
    file = tmp_path / "own.json"
    cutting.save(str(file))
    data = small_pairs()
    assert rows(TokenLengths(path=file), data) == rows(TokenLengths(path=folder), data)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"has no tokenizer.json; give the folder of a fast token"):
        rows(TokenLengths(path=tmp_path), small_pairs())
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read as a tokenizer"):
        rows(TokenLengths(path=tmp_path), small_pairs())


def test_a_tokenizer_is_named_once(folder):
    with pytest.raises(ValidationError, match="give either path or tokenizer"):
        TokenLengths(path=folder, tokenizer="some/tokenizer")
    with pytest.raises(ValidationError, match="revision belongs to a tokenizer on the hub"):
        TokenLengths(revision="main")


def test_token_lengths_keep_every_promise_of_a_step(folder):
    check_step(TokenLengths, {"path": str(folder)})
