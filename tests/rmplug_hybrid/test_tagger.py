"""A language model that is asked what prompts are about: behind an address, and on this machine."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from pydantic import ValidationError

import rmplug
from rmplug import DataError, Pairs
from rmplug.notices import collect_notices
from rmplug.testing import LengthModel, check_step, run_step, small_pairs
from rmplug_hybrid.features._tagger import Writes, answers, parsed, question
from rmplug_hybrid.features.tags import TEMPLATE, Endpoint, Tagger
from rmplug_hybrid.features.vocabulary import DIMENSIONS

TOPIC = {
    "topic": {"values": ["Law", "Physics"], "question": "What is it about?"},
    "harm": {"form": "scalar", "values": ["safe", "high"]},
}
LAW, PHYSICS = (
    f"analyzer_closed_set::feature_name=topic|constraints={v}" for v in ("Law", "Physics")
)
SAFE, HIGH = (f"analyzer_scalar::feature_name=harm|value={v}" for v in ("safe", "high"))


class Handler(BaseHTTPRequestHandler):
    """Answers as a chat server would, with what ``server.answer`` makes of the request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.requests.append((self.path, self.headers.get("Authorization"), body))
            status, answer = server.answer(body, len(server.requests))
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/elsewhere")
        if status == 429:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Nothing is printed."""


def said(text):
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


@contextmanager
def serving(answer):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.lock, server.requests, server.answer = threading.Lock(), [], answer
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def endpoint(server, **params):
    given = {"url": f"http://127.0.0.1:{server.server_port}/v1", "model": "m", "wait": 0, **params}
    return Endpoint(**given)


def truth(body, _):
    """Answers by the words of the prompt."""
    text = body["messages"][-1]["content"]
    if "about?" in text:
        about = [topic for topic in ("law", "physics") if f"ask {topic}" in text]
        return said(f"Sure! ```json\n{json.dumps({'topic': about})}\n```")
    return said(json.dumps({"harm": "HIGH" if "bomb" in text else "safe"}))


def pairs(*prompts):
    rows = {"id": [f"p{row}" for row in range(len(prompts))], "prompt": list(prompts)}
    return Pairs({**rows, "chosen": ["a"] * len(prompts), "rejected": ["b"] * len(prompts)}, "d")


def asked(server, data, **params):
    step = Tagger(**{"dimensions": TOPIC, **params})
    table = step.query(endpoint(server).load(), data).table
    return {name: table["id"].filter(table[name]).to_pylist() for name in table.column_names[2:]}


def test_each_prompt_is_asked_about_once_per_dimension_and_answers_become_tags():
    data = pairs("ask law", "ask physics and ask law", "a bomb", "ask law")
    with serving(truth) as server:
        found = asked(server, data)
    assert found == {
        LAW: ["p0", "p1", "p3"],
        PHYSICS: ["p1"],
        SAFE: ["p0", "p1", "p3"],
        HIGH: ["p2"],
        "missing.topic": [],
        "missing.harm": [],
    }
    texts = Counter(body["messages"][-1]["content"] for _, _, body in server.requests)
    assert len(texts) == 6
    assert set(texts.values()) == {1}
    assert {path for path, _, _ in server.requests} == {"/v1/chat/completions"}
    assert {body["temperature"] for _, _, body in server.requests} == {0.0}


def test_answers_that_cannot_be_read_are_missing_and_named():
    def answer(body, _):
        text = body["messages"][-1]["content"]
        if "harm" in text:
            return said(None if "second" in text else '{"harm": null}')
        return said("I would rather not say." if "second" in text else '{"topic": ["Lore"]}')

    with serving(answer) as server, collect_notices() as notices:
        found = asked(server, pairs("first", "second"))
    assert found["missing.topic"] == ["p1"]
    assert found["missing.harm"] == ["p0", "p1"]
    assert {told.what: told.ids for told in notices.values()} == {
        "no topic could be read from the answer": ["p1"],
        "topic 'Lore' is in no vocabulary": ["p0"],
        "no harm could be read from the answer": ["p0"],
        "no answer about harm": ["p1"],
    }


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"t": "a"}', "a"),
        ('Well {x} then {"t": ["a", "b"]}.', ["a", "b"]),
        ('{"u": 1} {"t": "a"}', None),
        ('{"t": 3}', None),
        ('["t"]', None),
        ('{"t": "a"', None),
        ("", None),
    ],
)
def test_the_first_object_in_an_answer_is_what_it_says(answer, value):
    assert parsed(answer, "t") == value


def test_a_question_has_its_values_its_form_and_the_conversation():
    known = DIMENSIONS["safety_concern"]
    text = question(TEMPLATE, "safety_concern", known, "<|user|>\nuse {values}\n")
    assert "Choose one of: safe, low, moderate, high." in text
    assert '{"safety_concern": "safe"}' in text
    assert text.endswith("[START]\n<|user|>\nuse {values}\n[END]\n")
    assert '{"format_constraints": ["..."]}' in answers(
        "format_constraints", DIMENSIONS["format_constraints"]
    )
    assert '{"languages": ["English"]}' in answers("languages", DIMENSIONS["languages"])


def test_the_end_of_a_long_prompt_is_shown_and_the_cut_is_counted():
    with serving(truth) as server, collect_notices() as found:
        assert asked(server, pairs("ask law " * 50 + "ask physics"), longest=40)[LAW] == ["p0"]
    assert [told.ids for told in found.values() if "characters" in told.what] == [["p0"]]
    shown = server.requests[0][2]["messages"][0]["content"]
    assert len(shown.partition("[START]\n")[2].partition("[END]")[0]) == 40


def test_a_template_must_show_the_conversation_and_nothing_unknown():
    for wrong in ("{question}", "{conversation} {prompt}"):
        with pytest.raises(
            ValidationError, match="template must have {conversation}, and can have"
        ):
            Tagger(template=wrong)


def test_a_model_that_cannot_write_is_refused():
    with pytest.raises(DataError, match="LengthModel generates no text; give a model of the kind"):
        _ = Tagger().query(LengthModel(), small_pairs()).table


def test_the_key_comes_from_the_environment_and_goes_into_no_record(monkeypatch):
    with serving(truth) as server:
        step = endpoint(server, key_variable="TAGGER_TEST_KEY")
        monkeypatch.delenv("TAGGER_TEST_KEY", raising=False)
        with pytest.raises(
            DataError, match="the environment variable TAGGER_TEST_KEY, which key_v"
        ):
            step.load()
        monkeypatch.setenv("TAGGER_TEST_KEY", "open-sesame")
        assert step.load().generate(["hello"]) == ['{"harm": "safe"}']
    assert server.requests[0][1] == "Bearer open-sesame"
    assert "open-sesame" not in step.model_dump_json()


def test_a_busy_or_broken_server_is_asked_again():
    def answer(body, number):
        return {1: (503, b"busy"), 2: (429, b"slow down")}.get(number) or said("done")

    with serving(answer) as server:
        assert endpoint(server).load().generate(["x"]) == ["done"]
    assert len(server.requests) == 3


def test_a_server_that_stays_broken_ends_the_step_with_its_words():
    with serving(lambda *_: (500, b"out of\n memory")) as server:
        sentence = r"gave no answer after 3 tries \(500 Internal Server Error: out of memory\)"
        with pytest.raises(DataError, match=sentence):
            endpoint(server, retries=2).load().generate(["x"])
    assert len(server.requests) == 3


def test_a_refusal_is_not_asked_again():
    with serving(lambda *_: (401, b'{"error": "bad key"}')) as server:
        sentence = r'gave no answer \(401 Unauthorized: {"error": "bad key"}\); check url, model'
        with pytest.raises(DataError, match=sentence):
            endpoint(server).load().generate(["x"])
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed_so_that_the_key_stays_where_it_belongs():
    with (
        serving(lambda *_: (307, b"")) as server,
        pytest.raises(DataError, match=r"gave no answer \(307 Temporary Redirect"),
    ):
        endpoint(server).load().generate(["x"])
    assert [path for path, _, _ in server.requests] == ["/v1/chat/completions"]


def test_an_address_without_a_server_is_told():
    with serving(truth) as server:
        nobody = endpoint(server, retries=1)
    with pytest.raises(DataError, match=r"gave no answer after 2 tries \(.*refused"):
        nobody.load().generate(["x"])


def test_another_kind_of_server_is_told_by_what_it_answers():
    with (
        serving(lambda *_: (200, b"<html>hello</html>")) as server,
        pytest.raises(DataError, match="answered otherwise than an OpenAI-compatible server"),
    ):
        endpoint(server).load().generate(["x"])


def test_answers_come_in_the_order_of_the_prompts():
    with serving(lambda body, _: said(body["messages"][0]["content"].upper())) as server:
        model = endpoint(server, concurrency=8).load()
        prompts = [f"prompt {number}" for number in range(30)]
        assert model.generate(prompts) == [prompt.upper() for prompt in prompts]
        talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}]
        assert model.generate([talk]) == ["HI"]


def test_an_endpoint_scores_nothing():
    with (
        serving(truth) as server,
        pytest.raises(DataError, match="endpoint model m generates text and scores no respon"),
    ):
        endpoint(server).load().score(None)


def test_a_finished_shard_is_not_asked_for_again(tmp_path):
    data = pairs("ask law", "ask physics", "ask law and ask physics", "a bomb")
    failing = True

    def answer(body, number):
        return (400, b"no more") if failing and number > 4 else truth(body, number)

    with serving(answer) as server:
        step = Tagger(dimensions=TOPIC)
        given = {"model": endpoint(server, concurrency=1).load(), "data": data}
        with pytest.raises(rmplug.RmplugError, match="no more"):
            run_step(step, given, tmp_path, shard_rows=2)
        refused = len(server.requests) - 4
        failing = False
        made = run_step(step, given, tmp_path, shard_rows=2)
    assert made["id"].filter(made[LAW]).to_pylist() == ["p0", "p2"]
    assert len(server.requests) == 4 + refused + 4


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    from rmplug.testing.tiny_models import tiny_model

    return tiny_model("llama", tmp_path_factory.mktemp("tiny"), head="lm")


def test_a_local_model_writes_what_a_plain_loop_of_the_likeliest_tokens_writes(language_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rmplug_hf import CausalLM

    model = CausalLM(path=language_model, device="cpu").load()
    assert isinstance(model, Writes)
    prompts = ["What is the capital?", "Name a prime above 10.", "What is the capitol?", "Hm"]
    found = model.generate(prompts, 12)
    tokenizer = AutoTokenizer.from_pretrained(language_model)
    plain = AutoModelForCausalLM.from_pretrained(language_model).eval()
    for prompt, text in zip(prompts, found, strict=True):
        talk = [{"role": "user", "content": prompt}]
        asked = tokenizer.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(asked, add_special_tokens=False, return_tensors="pt")["input_ids"]
        start = ids.shape[1]
        for _ in range(12):
            with torch.no_grad():
                following = plain(input_ids=ids).logits[0, -1].argmax()
            ids = torch.cat([ids, following.reshape(1, 1)], dim=1)
            if following == tokenizer.eos_token_id:
                break
        assert text == tokenizer.decode(ids[0, start:], skip_special_tokens=True)
    assert any(found)


def test_a_local_model_draws_the_same_tokens_for_the_same_prompt(language_model):
    from rmplug_hf import CausalLM

    model = CausalLM(path=language_model, device="cpu").load()
    first = model.generate(["a", "b"], 8, temperature=1.0)
    assert model.generate(["b", "a"], 8, temperature=1.0) == first[::-1]
    assert model.generate(["a"], 8) != first[:1]


def test_a_prompt_that_leaves_no_room_gets_an_empty_answer(language_model):
    from rmplug_hf import CausalLM

    model = CausalLM(path=language_model, device="cpu").load()
    assert model.generate(["word " * 300], 4) == [""]
    assert model.generate([], 4) == []


def test_the_tagger_asks_a_local_model_and_counts_what_it_cannot_read(language_model):
    from rmplug_hf import CausalLM, GenerativeJudge

    for kind in (CausalLM, GenerativeJudge):
        model = kind(path=language_model, device="cpu").load()
        table = Tagger(dimensions=TOPIC, max_new_tokens=3).query(model, small_pairs()).table
        assert table["missing.topic"].to_pylist() == [True] * 7


class Scripted(LengthModel):
    """A model that answers by rule, so that it can be sent to other processes."""

    def generate(self, prompts, max_new_tokens=100, temperature=0.0):
        return ['{"topic": "Law"}' if "prime" in str(prompt) else "no" for prompt in prompts]


def test_the_tagger_keeps_every_promise_of_a_step():
    check_step(Tagger, {"dimensions": TOPIC}, {"model": Scripted()})


def test_the_endpoint_keeps_every_promise_of_a_step():
    check_step(Endpoint, {"url": "http://localhost:8000/v1", "model": "m"})
    with pytest.raises(ValidationError, match="should match pattern"):
        Endpoint(url="ftp://x", model="m")
