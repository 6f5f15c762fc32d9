"""What ``rmplug check`` says of columns that are named wrong, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

import rmplug_hybrid
import rmplug_text
from rmplug import SpecError
from rmplug._spec.check import open_spec
from rmplug.testing import registry_of


def problems(tmp_path, kind: str, inputs: Any, **params: Any) -> list[str]:
    """What is wrong with a step on pairs and their words."""
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    steps = {
        "pairs": {"kind": "pairs-file", "params": {"path": str(tmp_path / "pairs.jsonl")}},
        "words": {"kind": "lexical", "inputs": "pairs", "params": {"measures": ["words"]}},
        "tried": {"kind": kind, "inputs": inputs, "params": params},
    }
    try:
        open_spec({"steps": steps}, (), registry_of(rmplug_text, rmplug_hybrid))
    except SpecError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("kind", "inputs", "param"),
    [
        ("performance-model", "words", "column"),
        ("performance-model", {"candidates": "words", "results": "words"}, "column"),
        ("relabel", {"data": "pairs", "reward": "words"}, "by"),
    ],
)
def test_a_column_that_is_known_not_to_be_there_is_found_by_check(tmp_path, kind, inputs, param):
    assert problems(tmp_path, kind, inputs, **{param: "chosen.words"}) == []
    (told,) = problems(tmp_path, kind, inputs, **{param: "chosen.word"})
    assert "no column 'chosen.word'; did you mean 'chosen.words'? (it gives prompt.words" in told
