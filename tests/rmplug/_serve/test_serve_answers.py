"""What the server of a reward model answers, in each form."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from http_client import CLIENT

import rmplug
from rmplug.models.raw_inputs import ScoresRawInputs
from rmplug.models.scorer import Scorer

PROMPT = "Is 91 prime?"
TEXTS = ["Yes.", "No: 91 is 7 times 13.", "Perhaps; ask someone else about it."]
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": PROMPT},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": "Are you sure?"},
]


def ask(server: str, path: str, **body: Any) -> dict[str, Any]:
    answer = CLIENT.post(server + path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(server: str, path: str, **body: Any) -> tuple[int, str]:
    answer = CLIENT.post(server + path, json=body)
    return answer.status_code, answer.json()["error"]["message"]


def spoken(text: str) -> list[dict[str, str]]:
    return [*TALK, {"role": "assistant", "content": text}]


def test_a_conversation_has_the_score_that_it_has_offline(server: str, scorer: Scorer) -> None:
    for text in TEXTS:
        answer = ask(server, "/classify", model="tiny", messages=spoken(text))
        [row] = answer["data"]
        expected = scorer.score(TALK, text)
        assert row == {"index": 0, "label": None, "probs": [expected], "num_classes": 1}
        assert (answer["model"], answer["outputs"]) == ("tiny", ["reward"])


def test_the_parts_of_a_message_are_one_text(server: str, scorer: Scorer) -> None:
    parts = [{"type": "text", "text": "Is 91 "}, {"type": "text", "text": "prime?"}]
    talk = [{"role": "user", "content": parts}, {"role": "assistant", "content": TEXTS[0]}]
    [row] = ask(server, "/classify", messages=talk)["data"]
    assert row["probs"] == [scorer.score(PROMPT, TEXTS[0])]


def test_texts_and_token_ids_are_read_as_they_are(
    server: str, folders: Callable[..., Path]
) -> None:
    import torch
    import transformers

    folder = folders()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()

    def direct(ids: list[int]) -> float:
        with torch.no_grad():
            return float(model(torch.tensor([ids])).logits[0, 0])

    for special in (True, False):
        ids = [tokenizer(text, add_special_tokens=special)["input_ids"] for text in TEXTS]
        expected = [direct(row) for row in ids]
        given: dict[str, Any] = {"add_special_tokens": special}
        for inputs in (TEXTS, ids):
            data = ask(server, "/classify", input=inputs, **given)["data"]
            assert [row["probs"][0] for row in data] == pytest.approx(expected, abs=1e-5)
        for single in (TEXTS[1], ids[1]):
            [row] = ask(server, "/classify", input=single, **given)["data"]
            assert row["probs"][0] == pytest.approx(expected[1], abs=1e-5)


def test_an_activation_is_applied_where_it_is_asked_for(
    serving: Any, folders: Callable[..., Path], server: str, scorer: Scorer
) -> None:
    raw = scorer.score(TALK, TEXTS[0])
    assert isinstance(raw, float)
    for name in ("use_activation", "activation"):
        [row] = ask(server, "/classify", messages=spoken(TEXTS[0]), **{name: True})["data"]
        assert row["probs"] == pytest.approx([1 / (1 + math.exp(-raw))])
    several = rmplug.load(folders(labels=3))
    with serving(several) as (address, _):
        [row] = ask(address, "/classify", messages=spoken(TEXTS[0]), use_activation=True)["data"]
    scores = np.array(list(several.score(TALK, TEXTS[0]).values()))  # type: ignore[union-attr]
    assert row["probs"] == pytest.approx((np.exp(scores) / np.exp(scores).sum()).tolist())


def test_several_outputs_are_named_and_none_stands_for_all(
    serving: Any, folders: Callable[..., Path]
) -> None:
    several = rmplug.load(folders(labels=3))
    with serving(several) as (address, _):
        answer = ask(address, "/classify", messages=spoken(TEXTS[0]))
        named = several.score(TALK, TEXTS[0])
        assert isinstance(named, dict)
        assert dict(zip(answer["outputs"], answer["data"][0]["probs"], strict=True)) == named
        assert answer["data"][0]["label"] == max(named, key=lambda name: named[name])
        status, message = refused(address, "/rank", prompt=PROMPT, responses=TEXTS)
        assert (status, "none of which stands for all; ask /classify" in message) == (400, True)


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
@pytest.mark.parametrize(
    ("first", "second"), [("text_1", "text_2"), ("queries", "documents"), ("data_1", "data_2")]
)
def test_pairs_of_texts_are_prompts_and_responses(
    server: str, scorer: Scorer, path: str, first: str, second: str
) -> None:
    expected = scorer.score_batch([PROMPT] * 3, TEXTS)
    for prompts in (PROMPT, [PROMPT], [PROMPT] * 3):
        data = ask(server, path, **{first: prompts, second: TEXTS})["data"]
        assert [row["score"] for row in data] == pytest.approx(expected, abs=1e-5)
        assert [row["index"] for row in data] == [0, 1, 2]


def test_openrlhf_is_answered_as_its_client_asks(server: str, scorer: Scorer) -> None:
    body = {"query": [PROMPT + text for text in TEXTS], "prompts": [PROMPT] * 3, "labels": [""] * 3}
    answer = ask(server, "/get_reward", **body)
    expected = scorer.score_batch([PROMPT] * 3, TEXTS)
    assert answer["rewards"] == pytest.approx(expected, abs=1e-5)
    assert answer["extra_logs"] == {"reward": answer["rewards"]}
    assert answer["scores"] == pytest.approx([1 / (1 + math.exp(-r)) for r in answer["rewards"]])


def test_openrlhf_queries_are_read_as_they_are_where_that_is_wanted(
    serving: Any, scorer: Scorer
) -> None:
    assert isinstance(scorer.model, ScoresRawInputs)
    queries = [PROMPT + text for text in TEXTS]
    as_they_are = scorer.model.score_raw(queries)[:, 0].tolist()
    with serving(scorer, raw_queries=True) as (address, _):
        answer = ask(address, "/get_reward", query=queries, prompts=[PROMPT] * 3, labels=[""] * 3)
    assert answer["rewards"] == pytest.approx(as_they_are, abs=1e-5)
    with serving(scorer, endings=["<|eot_id|>"]) as (address, _):
        ended = [f"{query}<|eot_id|>" for query in queries]
        answer = ask(address, "/get_reward", query=ended, prompts=[PROMPT] * 3)
        without = ask(address, "/get_reward", query=queries)
    assert answer["rewards"] == pytest.approx(scorer.score_batch([PROMPT] * 3, TEXTS), abs=1e-5)
    assert without["rewards"] == pytest.approx(as_they_are, abs=1e-5)


def test_responses_are_ranked_best_first(server: str, scorer: Scorer) -> None:
    texts = [*TEXTS, TEXTS[0]]
    for prompt in (PROMPT, TALK):
        ranking = ask(server, "/rank", prompt=prompt, responses=texts)["ranking"]
        offline = scorer.rank(prompt, texts)
        assert [row["rank"] for row in ranking] == [entry.rank for entry in offline]
        assert [texts[row["index"]] for row in ranking] == [entry.response for entry in offline]
        assert [row["reward"] for row in ranking] == pytest.approx([e.reward for e in offline])
    assert ask(server, "/rank", prompt=PROMPT, responses=[])["ranking"] == []


def test_what_is_cut_is_told_with_the_rows_it_happened_to(server: str) -> None:
    long = "word " * 400
    answer = ask(server, "/rank", prompt=PROMPT, responses=["short", long, long + "!"])
    [told] = answer["notices"]
    assert "response cut to fit" in told["what"]
    assert told["rows"] == [1, 2]
    assert "notices" not in ask(server, "/rank", prompt=PROMPT, responses=["short"])


def test_the_model_is_listed_and_only_it_is_served(server: str) -> None:
    [model] = CLIENT.get(f"{server}/v1/models").json()["data"]
    assert (model["id"], model["object"], model["outputs"]) == ("tiny", "model", ["reward"])
    assert refused(server, "/rank", model="large", prompt="a", responses=["b"]) == (
        404,
        "the model large is not served; tiny is",
    )


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/classify", {}, "give either messages or input"),
        ("/classify", {"messages": TALK}, "the last message is the assistant's: the response that"),
        ("/classify", {"messages": []}, "the last message is the assistant's: the response that"),
        ("/classify", {"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        (
            "/classify",
            {"input": ["a", ""], "add_special_tokens": False},
            "input 2 has 0 tokens; the model reads 1 to 256",
        ),
        ("/classify", {"input": [[1, 10**6]]}, "input 1 has the token 1000000; the model has tho"),
        ("/classify", {"input": [[3, -1]]}, "input 1 has the token -1; the model has those from"),
        ("/classify", {"input": "a", "chat_template": "{}"}, "chat_template has no say here: the"),
        ("/classify", {"input": "a", "truncate_prompt_tokens": 9}, "truncate_prompt_tokens has no"),
        ("/score", {"text_1": ["a", "b"], "text_2": ["c"]}, "text_1 has 2 and text_2 1; give one"),
        ("/score", {"text_1": "a"}, "text_2: Field required"),
        ("/get_reward", {"query": ["a"], "prompts": []}, "there are 1 queries and 0 prompts"),
        ("/get_reward", {"query": ["a"], "prompts": ["b"]}, "query 0 does not begin with its pro"),
        (
            "/rank",
            {"prompt": "a", "responses": ["\ud800"]},
            "the body is no JSON: unexpected end of",
        ),
        (
            "/rank",
            {"prompt": "a", "responses": ["b"], "model": "\ud800"},
            "the body is no JSON: un",
        ),
        ("/classify", {"input": "\ud83d, half of a face"}, "the body is no JSON: "),
        ("/classify", {"input": [[1], [2**63]]}, "input 2 has the token 9223372036854775808; the"),
        ("/classify", {"input": [[-(10**30)]]}, "input 1 has the token -1000000000000000000000"),
        (
            "/score",
            {"text_1": "a", "queries": "b", "text_2": "c"},
            "the same texts are given under two names; give one",
        ),
        ("/rank", {"prompt": 7, "responses": ["b"]}, "prompt.str: Input should be a valid string"),
    ],
)
def test_a_request_that_cannot_be_answered_is_told_in_one_sentence(
    server: str, path: str, body: dict[str, Any], sentence: str
) -> None:
    answer = CLIENT.post(server + path, content=json.dumps(body))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"].startswith(sentence)
    assert "\n" not in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b"[]"])
def test_what_is_no_json_is_told(server: str, body: bytes) -> None:
    answer = CLIENT.post(f"{server}/rank", content=body)
    assert answer.status_code == 400
    assert len(answer.json()["error"]["message"]) < 250


def test_metrics_are_what_prometheus_reads(serving: Any, scorer: Scorer) -> None:
    with serving(scorer) as (address, _):
        for _ in range(3):
            ask(address, "/rank", prompt=PROMPT, responses=TEXTS)
        refused(address, "/rank", prompt=PROMPT)
        CLIENT.get(f"{address}/nowhere?{'x' * 50}")
        answer = CLIENT.get(f"{address}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = dict(
        line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")
    )
    assert samples['rmplug_requests_total{path="/rank",status="200"}'] == "3"
    assert samples['rmplug_requests_total{path="/rank",status="400"}'] == "1"
    assert samples['rmplug_requests_total{path="other",status="404"}'] == "1"
    assert samples["rmplug_rows_total"] == "9"
    assert samples["rmplug_queue_rows"] == "0"
    assert samples['rmplug_batch_rows_bucket{le="4"}'] == "3"
    assert samples['rmplug_batch_rows_bucket{le="2"}'] == "0"
    assert samples['rmplug_request_seconds_count{path="/rank"}'] == "4"
    assert float(samples["rmplug_model_seconds_total"]) > 0
