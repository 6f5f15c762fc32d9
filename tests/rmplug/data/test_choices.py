"""Which responses are one choice: of a case, or to a prompt; never a whole group."""

from __future__ import annotations

import pytest

from rmplug import Responses
from rmplug.data.choices import choice_of_each


def choices(prompts, **columns):
    ids = [f"r{place}" for place in range(len(prompts))]
    data = Responses({"id": ids, "prompt": list(prompts), "response": ids, **columns})
    return choice_of_each(data.table).tolist()


def test_responses_to_one_prompt_are_a_choice_and_choices_are_numbered_as_they_appear():
    assert choices("bab") == [0, 1, 0]
    assert choices("") == []


def test_a_group_of_several_prompts_is_no_choice():
    assert choices("xxyy", group=["topic"] * 4) == [0, 0, 1, 1]


def test_one_prompt_in_two_groups_is_two_choices():
    assert choices("xxxx", group=list("abab")) == [0, 1, 0, 1]


def test_cases_are_choices_even_where_they_share_a_prompt():
    assert choices("xxxx", case=list("aabb"), group=["g"] * 4) == [0, 0, 1, 1]
    assert choices("xy", case=[7, 7]) == [0, 0]


@pytest.mark.parametrize("case", [["a", None, None, "a"], [None, "x", "x", None]])
def test_responses_without_a_case_are_grouped_by_their_prompt(case):
    assert choices("abba", case=case) == [0, 1, 1, 0]


def test_a_case_is_not_taken_for_a_prompt_that_is_called_the_same():
    data = Responses({"id": ["a", "b"], "prompt": ["q", "q"], "response": ["x", "y"]})
    key = data["group"][0].as_py()
    assert choices("qq", case=[None, key], group=["", ""]) == [0, 1]
