"""The text of chat messages, and its length."""

from __future__ import annotations

import pyarrow as pa

from rmplug.data.messages import as_messages, count_characters, length_gap


def test_characters_are_code_points_and_a_missing_text_has_none():
    texts = pa.chunked_array([["äö", ""], [None, "👍x"]])
    assert count_characters(texts).tolist() == [2.0, 0.0, 0.0, 2.0]
    assert count_characters(pa.chunked_array([], type=pa.string())).tolist() == []


def test_messages_are_counted_with_the_blank_line_between_them():
    two = pa.array([[{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c"}]])
    assert count_characters(two).tolist() == [5.0]


def test_the_length_gap_is_that_of_chosen_over_rejected():
    sides = {"chosen": ["abc", "", None], "rejected": ["a", "ab", "abcd"]}
    plain = pa.table(sides)
    assert length_gap(plain).tolist() == [2.0, -2.0, -4.0]
    wrapped = {name: as_messages(plain[name], "assistant") for name in sides}
    assert length_gap(pa.table(wrapped)).tolist()[:2] == [2.0, -2.0]
