"""What `lexical` counts, and that it agrees with plain definitions on any text."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain_lexical import compression, measures, overlap
from pydantic import ValidationError

from rmplug import Known, Pairs, Responses
from rmplug_text._lexical import measure_sides, measure_texts
from rmplug_text._phrases import OPENING, PHRASES
from rmplug_text.features import CHEAP, Lexical

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
)
PLAIN = [name for name in CHEAP if name != "overlap"]

pieces = st.sampled_from(
    [
        *"#*-+•|:`[]()!?.。！？…_\"' \t\n\r\u00a0\u2003\u0085\x00\x1c",
        "```",
        "**",
        "| - |",
        "http://a.b",
        "www.",
        "//www.x",
        "I can't help",
        "As an AI",
        "perhaps",
        "I think",
        "Great question",
        "i",
        "My",
        "1.",
        "12)",
        "３",
        "½",
        "abc",
        "ABC",
        "Ünï",
        "ﬁ",
        "İ",
        "K",
        "ſ",
        "中文",
        "カナ",
        "한국",
        "Привет",
        "سلام",
        "ไทย",
        "e\u0301",
        "\u0301",
        "😀",
        "\U00020000",
        "\U000e0100",
    ]
)
texts = st.lists(pieces | st.text(max_size=4), max_size=25).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(texts, min_size=1, max_size=6))
@example(["", "", ""])
@example(["\n", "a", "```\n# x"])
def test_every_measure_agrees_with_its_plain_definition_on_any_text(given_texts):
    found = measure_texts(pa.array(given_texts), PLAIN)
    expected = [measures(text, PHRASES, OPENING) for text in given_texts]
    for name in PLAIN:
        assert found[name].tolist() == [row[name] for row in expected], name


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=5))
def test_overlap_agrees_with_its_plain_definition_on_any_text(rows):
    sides = [pa.array(list(side)) for side in zip(*rows, strict=True)]
    prompt, *responses = measure_sides(sides, ("overlap",))
    assert prompt["overlap"].tolist() == [0.0] * len(rows)
    for place, response in enumerate(responses, start=1):
        expected = [overlap(row[place], row[0]) for row in rows]
        assert response["overlap"].tolist() == expected


def test_measures_do_not_depend_on_how_rows_are_cut_into_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    words = ["I", "can't", "help", "中文", "# a\n", "**b**", "http://c.d", "\n", "e."]
    sides = [
        pa.array([" ".join(rng.choice(words, rng.integers(0, 30))) for _ in range(50)])
        for _ in range(3)
    ]
    whole = measure_sides(sides, CHEAP)
    monkeypatch.setattr("rmplug_text._lexical.BLOCK_CHARACTERS", 100)
    cut = measure_sides(sides, CHEAP)
    for one, other in zip(whole, cut, strict=True):
        for name in CHEAP:
            assert one[name].tolist() == other[name].tolist(), name


def one(text, *names):
    found = measure_texts(pa.array([text]), names)
    return [float(found[name][0]) for name in names]


def test_markdown_marks_are_counted_each_and_together():
    text = (
        "# Plan\n\n- one\n* two\n1. three\n\nSee **this** and [that](http://a.b), `x = 1`.\n\n"
        "| a | b |\n|---|:-:|\n| 1 | 2 |\n\n```python\n# no heading\n- no bullet\n```"
    )
    names = ("headings", "bullets", "numbered", "code", "bold", "tables", "links", "markdown")
    assert one(text, *names) == [1, 2, 1, 2, 1, 1, 1, 9]


def test_lines_after_an_unclosed_fence_are_code_in_that_text_only():
    found = measure_texts(pa.array(["```\n# a", "# b"]), ("headings", "code"))
    assert found["headings"].tolist() == [0, 1]
    assert found["code"].tolist() == [1, 0]


def test_refusals_are_found_whatever_their_case_apostrophe_and_punctuation():
    assert one("I’m sorry, but I CAN'T help with that.", "refusals", "first_person") == [2, 2]


def test_phrases_do_not_reach_over_the_end_of_a_text():
    found = measure_texts(pa.array(["great", "question", "as an", "AI"]), ("flattery", "refusals"))
    assert found["flattery"].tolist() == found["refusals"].tolist() == [0, 0, 0, 0]


def test_flattery_counts_only_at_the_opening():
    assert one("What a great question! Rain forms when", "flattery")[0] >= 1
    assert one("one two three four five six seven eight nine ten great question", "flattery") == [0]


def test_scripts_are_shares_of_the_letters():
    names = ("latin", "cjk", "cyrillic", "arabic", "other_script")
    assert one("abc Привет 12", *names) == [3 / 9, 0, 6 / 9, 0, 0]
    assert one("中文カナ한국 سلام ไ", *names) == [0, 6 / 11, 0, 4 / 11, 1 / 11]


def test_chinese_characters_are_tokens_of_their_own():
    assert one("猫和狗和鸟", "words", "type_token_ratio") == [1, 4 / 5]


def test_urls_are_counted_once_each():
    assert one(
        "see https://www.a.org, www.b.org and HTTP://c.d; not http:/e or wwww.f", "urls"
    ) == [3]


def test_compression_is_bytes_after_zlib_over_bytes():
    for text in ("", "a", "äöü" * 50, "the same again, " * 40):
        assert one(text, "compression") == [compression(text)]


def test_a_word_of_a_million_letters_is_one_word():
    assert one("x" * 1_000_000 + " y", "words", "characters", "type_token_ratio") == [
        2,
        1_000_002,
        1,
    ]


def pairs():
    return Pairs(
        {
            "id": ["a", "b"],
            "prompt": ["Why is the sky blue?", "Name a fruit."],
            "chosen": ["The sky is blue. Light scatters!", "Apple"],
            "rejected": ["Perhaps.", "A fruit: **apple**"],
        }
    )


def test_pairs_get_every_measure_for_prompt_both_responses_and_their_difference():
    table = Lexical(measures=("words", "overlap")).compute(pairs()).table
    assert table.column_names == [
        *("id", "group", "prompt.words", "chosen.words", "chosen.overlap"),
        *("rejected.words", "rejected.overlap", "difference.words", "difference.overlap"),
    ]
    assert table["difference.words"].to_pylist() == [5.0, -2.0]
    assert table["chosen.overlap"].to_pylist() == [4 / 6, 0.0]
    assert table["rejected.overlap"].to_pylist() == [0.0, 2 / 3]


def test_responses_get_every_measure_for_prompt_and_response():
    data = Responses({"id": ["a"], "prompt": ["Hi there"], "response": ["there!"]})
    table = Lexical(measures=("words", "overlap", "exclamations")).compute(data).table
    assert table.drop(["id", "group"]).to_pylist() == [
        {
            "prompt.words": 2.0,
            "prompt.exclamations": 0.0,
            "response.words": 1.0,
            "response.overlap": 1.0,
            "response.exclamations": 1.0,
        }
    ]


def test_a_conversation_is_read_as_one_text():
    turns = [{"role": "user", "content": "a b"}, {"role": "assistant", "content": "c"}]
    data = Responses({"id": ["a"], "prompt": [turns], "response": ["d"]})
    assert Lexical(measures=("words",)).compute(data).table["prompt.words"].to_pylist() == [3.0]


@pytest.mark.parametrize("sides", [("prompt",), ("difference",), ("response", "difference")])
@pytest.mark.parametrize("data", [pairs(), pairs().take(np.zeros(0, int))])
def test_the_columns_promised_are_the_columns_given(sides, data):
    step = Lexical(sides=sides)
    promised = step.foresee({"data": [Known((Pairs,))]}).columns
    assert step.compute(data).values == promised
    assert len(promised) == len(set(promised))


def test_an_unknown_measure_is_refused():
    with pytest.raises(ValidationError, match="'characters', 'words'"):
        Lexical(measures=("wrods",))


def test_longer_chosen_on_real_pairs_agrees_with_the_reference_figure():
    file = SHARED / "hh_rlhf/pairs.jsonl.gz"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    with gzip.open(file, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    names = ("id", "prompt", "chosen", "rejected")
    data = Pairs({name: [row[name] for row in rows] for name in names})
    longer = Lexical(measures=("characters",)).compute(data).table["difference.characters"]
    difference = longer.to_numpy()
    assert round(float((difference > 0).sum() / (difference != 0).sum()), 4) == 0.5377
