"""Responses sampled from a policy."""

from __future__ import annotations

import pytest

from rmplug import Responses, StepError
from rmplug.testing import LengthModel, check_step, run_step, small_responses
from rmplug_hf.queries.likelihood import CausalLM
from rmplug_hf.queries.sampling import SampleResponses

FEW = {"num_generations": 3, "max_completion_length": 6}


@pytest.fixture(scope="module")
def policy(tiny):
    return CausalLM(path=tiny("qwen2", head="lm"), device="cpu").load()


def texts(responses):
    return [row["response"][0]["content"] for row in responses.table.to_pylist()]


def test_each_distinct_prompt_gets_as_many_responses_as_asked(policy, tmp_path):
    data = Responses(
        {
            "id": ["a", "b", "c", "d"],
            "prompt": ["Why?", "How?", "Why?", "long " * 300],
            "response": ["Yes."] * 4,
            "subset": ["one", "two", "three", "four"],
        }
    )
    made = run_step(SampleResponses(**FEW), {"policy": policy, "prompts": data}, tmp_path)
    assert made["id"].to_pylist() == [f"{name}/{n}" for name in "ab" for n in (1, 2, 3)]
    assert made["subset"].to_pylist() == ["one"] * 3 + ["two"] * 3
    assert made["group"].to_pylist()[:3] == [data["group"][0].as_py()] * 3
    assert len(set(texts(made))) > 3


def test_responses_depend_on_the_seed_and_not_on_the_other_prompts(policy, tmp_path):
    data = small_responses(6)
    inputs = {"policy": policy, "prompts": data}
    one = run_step(SampleResponses(**FEW), inputs, tmp_path / "one", seed=1)
    other = run_step(SampleResponses(**FEW), inputs, tmp_path / "other", seed=2)
    last = data["id"][5].as_py()
    alone = {"policy": policy, "prompts": data.take([5])}
    again = run_step(SampleResponses(**FEW), alone, tmp_path / "alone", seed=1)
    assert texts(one) != texts(other)
    if f"{last}/1" in one["id"].to_pylist():
        here = one["id"].to_pylist().index(f"{last}/1")
        assert texts(one)[here : here + 3] == texts(again)


def test_a_model_that_writes_nothing_is_refused(tmp_path):
    inputs = {"policy": LengthModel(), "prompts": small_responses(2)}
    with pytest.raises(StepError, match="writes no responses; name a causal-lm"):
        run_step(SampleResponses(), inputs, tmp_path)


def test_the_sampler_keeps_every_promise_of_a_step(policy):
    check_step(SampleResponses, FEW, {"policy": policy})
