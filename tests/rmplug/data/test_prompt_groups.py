"""Groups of prompts are stable hashes: what was computed once is found again."""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from rmplug import Pairs
from rmplug.data.messages import message_type, prompt_groups

texts = st.none() | st.text(max_size=12)
turns = st.fixed_dictionaries({"role": texts, "content": texts})
prompts = st.lists(st.none() | st.lists(turns, max_size=3), max_size=8)


def by_definition(prompt):
    text = json.dumps([[turn["role"], turn["content"]] for turn in prompt or ()])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@given(prompts, prompts, st.integers(0, 3))
@settings(deadline=None)
def test_a_group_is_the_hash_of_the_json_of_roles_and_contents(first, second, start):
    column = pa.chunked_array(
        [pa.array(first, message_type()), pa.array(second, message_type())]
    ).slice(start)
    assert prompt_groups(column).to_pylist() == [*map(by_definition, (first + second)[start:])]


def test_the_groups_of_known_prompts_never_change():
    data = Pairs({"id": ["a", "b"], "prompt": ["Hi?", 'é"\n😀'], "chosen": ["c"] * 2,
                  "rejected": ["r"] * 2})  # fmt: skip
    assert data["group"].to_pylist() == ["16ffce54e04d1ee2", "3f10ea6c0bdfbe82"]
