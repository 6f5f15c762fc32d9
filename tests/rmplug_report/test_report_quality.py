from __future__ import annotations

import base64
import gzip
import json
import re

import numpy as np
import pyarrow as pa
import pytest
from report_inputs import report

from rmplug import Features, Metrics, Pairs, PlanView
from rmplug_report.inputs._hidden import NOT_SHOWN, hidden_ids, is_hidden

SECRET = "the key is AKIAIOSFODNN7EXAMPLE"


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> tuple[str, dict]:
    folder = tmp_path_factory.mktemp("quality") / "r"
    report(items(), folder, PlanView("audit", 1, []))
    text = (folder / "index.html").read_text(encoding="utf-8")
    return text, json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def items() -> list:
    ids = [f"r{row}" for row in range(6)]
    pairs = Pairs(
        {
            "id": ids,
            "prompt": [f"prompt {row}" for row in range(6)],
            "chosen": ["<b>one</b>", "two", SECRET, "four", "five", "six"],
            "rejected": ["uno", "due", "tre", "quattro", "cinque", "sei"],
        },
        "pairs",
    )
    copies = Features(
        {
            "id": ids,
            "near.copy": np.array([False, True, False, False, False, True]),
            "near.similarity": [0.9, 0.9, 0.0, 0.0, 0.0, 0.8],
            "near.partner": [1.0, 0.0, np.nan, np.nan, np.nan, 0.0],
        },
        "copies",
    )
    private = Features({"id": ids, "secrets": [0, 0, 1, 0, 0, 0], "personal": [0] * 6}, "private")
    return [pairs, copies, private, metrics()]


def metrics() -> Metrics:
    def row(finding: str, metric: str, value: float, **more: object) -> dict:
        ends = {"low": value / 2, "high": value + 0.1}
        base = {"metric": metric, "subset": "all", "value": value, "n": 6, "finding": finding}
        return {**base, **ends, "count": None, "sentence": "", **more}

    rows = [
        row(
            "copies.near.copy",
            "found",
            2 / 6,
            count=2,
            sentence="2 of 6 pairs are nearly the same.",
        ),
        row("private.secrets", "found", 1 / 6, count=1, sentence="1 of 6 pairs holds a key."),
        row("noise.wrong", "wrong-labels", 0.1, sentence="About 10 % of the labels are wrong."),
        row("shape.difference.words", "more-in-chosen", 0.7),
        row("copies.near.copy", "found", 0.5, count=1, subset="math"),
    ]
    return Metrics(pa.Table.from_pylist(rows), "audit")


def test_an_audit_has_a_section_with_sentences_and_figures(page):
    text, numbers = page
    assert "Data quality" in text and "What was found" in text
    assert "What chosen responses have more of" in text
    told = [one["text"] for one in numbers["findings"] if one["about"] == "Data quality"]
    assert told == [
        "About 10 % of the labels are wrong.",
        "2 of 6 pairs are nearly the same.",
        "1 of 6 pairs holds a key.",
    ]


def test_examples_name_the_row_that_they_are_like_and_are_escaped(page):
    text, _ = page
    part = text[text.index("Examples of copies.near.copy") :]
    assert re.search(r"r1.*?0\.9.*?r0.*?prompt 1", part, re.DOTALL)
    assert "<b>one</b>" not in text


def test_texts_with_secrets_are_nowhere_on_the_page(page):
    text, numbers = page
    blocks = re.findall(r"H4sI[A-Za-z0-9+/=]+", text)
    assert blocks
    unpacked = [gzip.decompress(base64.b64decode(one)).decode() for one in blocks]
    assert any("(not shown: personal data or secrets" in one for one in unpacked)
    assert not any("AKIA" in one for one in [text, json.dumps(numbers), *unpacked])
    assert any("quattro" in one for one in unpacked)


def test_tokens_of_a_row_with_secrets_are_without_texts(tmp_path):
    tokens = {
        "id": ["r1/chosen", "r2/chosen"],
        "response.start": [0.0, 0.0],
        "response.texts": [["two", "more"], ["the key is ", "AKIA"]],
        "response.rewards": [[0.0, 1.0], [0.5, 3.0]],
    }
    given = [*items(), Features(tokens, "tokens")]
    report(given, tmp_path / "r", PlanView("audit", 1, []))
    text = (tmp_path / "r/index.html").read_text(encoding="utf-8")
    part = re.search(r'<section id="tokens".*?</section>', text, re.DOTALL)[0]
    assert ">more<" in part and "AKIA" not in text and part.count(">·<") == 2
    assert NOT_SHOWN in part


def test_a_secret_in_one_response_of_a_pair_hides_the_pair_and_all_made_from_it():
    counted = Features({"id": ["p/chosen", "q"], "personal": [1, 0]}, "private")
    hidden = hidden_ids([counted])
    ids = ("p", "p/rejected", "p/chosen", "q", "q/chosen")
    assert [one for one in ids if is_hidden(one, hidden)] == ["p", "p/rejected", "p/chosen"]


def test_numbers_of_an_audit_are_not_told_twice(page):
    text, _ = page
    assert "All metrics" not in text
