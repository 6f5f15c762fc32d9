"""ROUGE against a direct textbook implementation and hand-worked figures."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmplug import Known, Pairs, Responses
from rmplug_text._rouge import longest_common, rouge_l, rouge_n, tokenize
from rmplug_text.features import Rouge

words = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=14)


def textbook_lcs(first, second):
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            longer = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else longer
    return table[-1][-1]


def textbook_overlap(first, second, n):
    grams = [tuple(first[i : i + n]) for i in range(len(first) - n + 1)]
    left = [tuple(second[i : i + n]) for i in range(len(second) - n + 1)]
    sizes, common = (len(grams), len(left)), 0
    for gram in grams:
        if gram in left:
            left.remove(gram)
            common += 1
    return common, *sizes


def textbook_scores(common, first, second):
    precision = common / first if first else 0.0
    recall = common / second if second else 0.0
    total = precision + recall
    return (2 * precision * recall / total if total else 0.0), precision, recall


@settings(deadline=None)
@given(words, words)
def test_longest_common_subsequence_agrees_with_the_table_method(first, second):
    common = textbook_lcs(first, second)
    assert longest_common(first, second) == common
    assert rouge_l(first, second) == textbook_scores(common, len(first), len(second))


@settings(deadline=None)
@given(words, words, st.sampled_from([1, 2]))
def test_n_gram_overlap_agrees_with_crossing_off_one_by_one(first, second, n):
    assert rouge_n(first, second, n) == textbook_scores(*textbook_overlap(first, second, n))


@given(st.text())
def test_ascii_tokens_are_those_of_rouge_score(text):
    assert tokenize(text, "ascii") == re.sub(r"[^a-z0-9]+", " ", text.lower()).split()


def test_unicode_tokens_are_words_of_any_script():
    assert tokenize("Ünder_score Привет, 猫和狗!", "words") == [
        *("ünder", "score", "привет", "猫", "和", "狗")
    ]


def pairs():
    return Pairs(
        {
            "id": ["a", "b"],
            "prompt": ["the cat?", "x"],
            "chosen": ["The cat sat on the mat", ""],
            "rejected": ["The cat lay on a mat.", "y"],
        }
    )


def test_pairs_are_compared_with_each_other_and_with_the_prompt():
    table = Rouge(measures=("rouge1", "rouge2", "rougeL")).compute(pairs()).table
    assert table["responses.rouge1"].to_pylist() == [pytest.approx(4 / 6), 0.0]
    assert table["responses.rouge2"].to_pylist() == [pytest.approx(1 / 5), 0.0]
    assert table["responses.rougeL"].to_pylist() == [pytest.approx(4 / 6), 0.0]
    assert table["chosen.rouge1"].to_pylist() == [pytest.approx(2 * 2 / (6 + 2)), 0.0]


def test_precision_is_of_the_response_and_recall_of_the_prompt():
    data = Responses({"id": ["a"], "prompt": ["the cat"], "response": ["the cat sat down"]})
    table = Rouge(measures=("rouge1",), scores=("precision", "recall")).compute(data).table
    assert table["response.rouge1_precision"].to_pylist() == [0.5]
    assert table["response.rouge1_recall"].to_pylist() == [1.0]


@pytest.mark.parametrize("between", [("responses",), ("prompt",), ("responses", "prompt")])
def test_the_columns_promised_are_the_columns_given(between):
    step = Rouge(between=between, scores=("f", "recall"))
    assert step.compute(pairs()).values == step.foresee({"data": [Known((Pairs,))]}).columns
