"""A reward model as a function of libraries for reinforcement learning."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rmplug
from rmplug.errors import DataError
from rmplug.models.reward_function import as_function
from rmplug.testing import LengthModel

PROMPT = [{"role": "user", "content": "Why?"}]
SPEC = {
    "name": "tiny",
    "seed": 1,
    "steps": {
        "pairs": {"kind": "synthetic", "params": {"size": 200}},
        "head": {"kind": "ngram-head", "inputs": "pairs", "params": {"folds": 2, "l2": [0.1]}},
    },
}


class Broken(LengthModel):
    """Gives no number for a response that says so."""

    def score(self, responses: Any) -> Any:
        scores = np.asarray(super().score(responses), dtype=float)
        texts = [row[0]["content"] for row in responses.column("response").to_pylist()]
        scores[[text == "nothing" for text in texts]] = np.nan
        scores[[text == "endless" for text in texts]] = np.inf
        return scores


class Several(LengthModel):
    """Two outputs, none of which is the reward."""

    outputs = ("length", "none")

    def score(self, responses: Any) -> Any:
        lengths = np.asarray(super().score(responses))
        return np.stack([lengths, 0 * lengths], axis=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rmplug.run(SPEC, store=tmp_path_factory.mktemp("store")).path("head")


def test_texts_and_conversations_have_the_rewards_of_rmplug_score(folder: Path) -> None:
    function = rmplug.reward_function(folder)
    expected = [rmplug.load(folder).score("Why?", text) for text in ("Because.", "No idea!")]
    texts = function(prompts=["Why?"] * 2, completions=["Because.", "No idea!"])
    turns = [[{"role": "assistant", "content": text}] for text in ("Because.", "No idea!")]
    columns = {"completion_ids": [[1], [2]], "answer": ["x", "y"], "trainer_state": None}
    assert texts == function(prompts=[PROMPT] * 2, completions=turns, **columns) == expected


def test_earlier_turns_of_a_completion_belong_to_the_conversation_before_it(folder: Path) -> None:
    tool = [{"role": "assistant", "content": "Look."}, {"role": "tool", "content": "42"}]
    completion = [*tool, {"role": "assistant", "content": "It is 42."}]
    expected = rmplug.load(folder).score([*PROMPT, *tool], "It is 42.")
    assert rmplug.reward_function(folder)([PROMPT], [completion]) == [expected]


def test_the_function_works_in_another_process_and_in_threads(folder: Path) -> None:
    function = rmplug.reward_function(folder, name="helpful")
    before = function(["Why?"], ["Because."])
    sent = pickle.loads(pickle.dumps(function))
    assert sent.__name__ == "helpful" and sent._scorer is None
    assert sent(["Why?"], ["Because."]) == before
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(sent, ["Why?"], ["Because."]) for _ in range(8)]
        assert all(call.result() == before for call in calls)


def test_what_is_no_number_is_none_for_trl_and_refused_for_the_others() -> None:
    function = as_function(Broken())
    assert function(["Why?"] * 2, ["nothing", "aaaa"]) == [None, pytest.approx(0.04)]
    with pytest.raises(DataError, match="no finite reward for 1 of 1"):
        function(["Why?"], ["endless"])
    with pytest.raises(DataError, match="no number for 1 of 1 responses"):
        function.for_verl("data", "nothing", extra_info={"prompt": "Why?"})
    with pytest.raises(DataError, match="no number for 1 of 1 responses"):
        function.for_openrlhf(["Why?nothing"], ["Why?"])


def test_of_several_outputs_the_one_that_is_named_is_the_reward() -> None:
    assert as_function(Several(), "length")(["Why?"], ["aa"]) == [pytest.approx(0.02)]
    with pytest.raises(DataError, match="no output 'reward'; name the one .*: length, none"):
        as_function(Several())(["Why?"], ["aa"])


def test_verl_calls_it_with_the_prompt_in_extra_info(folder: Path) -> None:
    function = rmplug.reward_function(folder).for_verl
    expected = rmplug.load(folder).score("Why?", "Because.")
    for prompt in ("Why?", PROMPT, np.array(PROMPT, dtype=object)):
        given = {"data_source": "d", "solution_str": "Because.", "ground_truth": "x"}
        assert function(**given, extra_info={"prompt": prompt}, strict_box_verify=0) == expected
    with pytest.raises(DataError, match="a row of d has no extra_info.prompt"):
        function("d", "Because.", "x", {})


def test_openrlhf_calls_it_with_prompt_and_response_in_one_text(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    function = rmplug.reward_function(folder).for_openrlhf
    expected = rmplug.load(folder).score("Why?", "Because.")
    found = function(["Why?Because."], ["Why?"], ["an answer"])
    assert found["rewards"].tolist() == pytest.approx([expected], rel=1e-6)
    assert torch.equal(found["scores"], found["rewards"].sigmoid())
    rendered = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    templated = partial(function, prompts_in_labels=True, endings=["<|im_end|>"])
    for label in ("Why?", json.dumps(PROMPT)):
        again = templated([f"{rendered}Because.<|im_end|>"], [rendered], [label])
        assert torch.equal(again["rewards"], found["rewards"])
    with pytest.raises(DataError, match="does not begin with its prompt"):
        function(["What?Because."], ["Why?"])
