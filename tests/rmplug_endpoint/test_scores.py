"""A reward model behind an address: what is asked, what is read, and what is refused."""

from __future__ import annotations

import json
import math
import os
import traceback

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from model_server import classified, count, scores, serving
from pydantic import ValidationError

from rmplug import DataError, Responses
from rmplug._kinds.registry import discover
from rmplug._spec.check import load_spec
from rmplug._spec.source import parse_source
from rmplug.data.rows import one_batch
from rmplug.errors import SpecError, StepError
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step, small_pairs
from rmplug.testing.tiny_models import tiny_model
from rmplug_endpoint import EndpointScores
from rmplug_endpoint._asking import Pace
from rmplug_hf.loading.tokenizers import Tokenizer
from rmplug_text.queries import Reward

KEY = "open-sesame-0123456789"
SECRET = "the launch code is 7-4-1-9, tell nobody"


def batch(*texts, prompt="Is it?"):
    ids = [f"r{row}" for row in range(len(texts))]
    return one_batch(
        Responses({"id": ids, "prompt": [prompt] * len(texts), "response": list(texts)}).table
    )


def length_of(conversation):
    """A reward that is easy to predict: a tenth of the characters, less five."""
    texts = conversation if isinstance(conversation, str) else conversation[-1]["content"]
    return len(texts) / 10 - 5


def by_length(body, _):
    """vLLM's /classify of a model that rewards length."""
    rows = [body["messages"]] if "messages" in body else body["input"]
    return classified(*([length_of(row)] for row in rows))


TEXTS = ["Yes.", "No, not at all.", "Yes.", "It depends on what you mean by it, as ever."]
LENGTHS = [length_of(text) for text in TEXTS]


def test_each_conversation_goes_as_messages_that_the_server_writes():
    with serving(by_length) as server:
        found = scores(server).load().score(batch(*TEXTS))
    assert found.shape == (4, 1)
    assert found[:, 0].tolist() == LENGTHS
    path, _, body = server.requests[0]
    assert path == "/classify"
    assert body["use_activation"] is body["activation"] is False
    assert body["add_generation_prompt"] is False
    asked = [tuple(turn["content"] for turn in body["messages"]) for _, _, body in server.requests]
    assert sorted(asked) == sorted(("Is it?", text) for text in set(TEXTS))


def test_texts_of_a_template_go_several_in_a_request_and_each_once():
    with serving(by_length) as server:
        model = scores(server, template="Q: {prompt}\nA: {response}", rows_per_request=2).load()
        found = model.score(batch(*TEXTS))[:, 0]
    assert found.tolist() == [length_of(f"Q: Is it?\nA: {text}") for text in TEXTS]
    assert sorted(len(body["input"]) for _, _, body in server.requests) == [1, 2]


def as_score(body, _):
    pairs = zip(body["text_1"], body["text_2"], strict=True)
    data = [{"index": i, "score": len(a) - len(b) / 2} for i, (a, b) in enumerate(pairs)]
    return 200, {"model": "m", "data": data}


def as_pooling(body, _):
    rows = [{"index": i, "data": [0.25 * i - 3]} for i in range(count(body))]
    return 200, {"model": "m", "data": rows}


def as_token_pooling(body, _):
    rows = [{"index": i, "data": [[9.0], [8.0], [0.25 * i - 3]]} for i in range(count(body))]
    return 200, {"model": "m", "data": rows}


def as_sglang(body, _):
    return 200, [{"embedding": [0.25 * i - 3], "meta_info": {}} for i in range(count(body))]


def as_openrlhf(body, _):
    pairs = zip(body["query"], body["prompts"], strict=True)
    return 200, {"rewards": [len(query) - 2 * len(prompt) for query, prompt in pairs]}


@pytest.mark.parametrize(
    ("api", "answer", "path", "expected"),
    [
        ("score", as_score, "/score", [6 - len(text) / 2 for text in TEXTS]),
        ("pooling", as_pooling, "/pooling", [-3, -2.75, -3, -2.5]),
        ("token-pooling", as_token_pooling, "/pooling", [-3, -2.75, -3, -2.5]),
        ("sglang", as_sglang, "/classify", [-3, -2.75, -3, -2.5]),
        ("openrlhf", as_openrlhf, "/get_reward", [len(text) - 8 for text in TEXTS]),
    ],
)
def test_every_interface_is_asked_in_its_own_form(api, answer, path, expected):
    template = {} if api == "score" else {"template": "{prompt}: {response}"}
    with serving(answer) as server:
        found = scores(server, api=api, **template).load().score(batch(*TEXTS))[:, 0]
    assert found.tolist() == expected
    assert {asked for asked, _, _ in server.requests} == {path}
    [(_, _, body)] = server.requests
    tasks = {"pooling": "classify", "token-pooling": "token_classify"}
    assert body.get("task") == tasks.get(api)


def test_token_ids_of_the_same_model_are_sent_where_a_tokenizer_is_given(tmp_path):
    transformers = pytest.importorskip("transformers")
    folder = tiny_model("llama", tmp_path)
    reader = Tokenizer(path=folder).load()
    with serving(lambda body, _: classified(*([len(ids)] for ids in body["input"]))) as server:
        found = scores(server).load(reader).score(batch(*TEXTS))[:, 0]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    own = {
        text: tokenizer.apply_chat_template(
            [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": text}],
            tokenize=True, return_dict=False,
        )
        for text in TEXTS
    }  # fmt: skip
    assert found.tolist() == [len(own[text]) for text in TEXTS]
    [(_, _, body)] = server.requests
    assert body["input"] == list(own.values())


def test_several_outputs_have_the_names_that_the_spec_gives():
    answer = classified([1.5, -2.0], [0.5, 3.0])
    with serving(lambda *_: answer) as server:
        model = scores(server, outputs=["helpful", "honest"], template="{response}").load()
        assert model.outputs == ("helpful", "honest")
        assert model.score(batch("a", "b")).tolist() == [[1.5, -2.0], [0.5, 3.0]]
        with pytest.raises(DataError, match=r"gave 2 scores where there are 1 outputs \(reward\)"):
            scores(server, template="{response}").load().score(batch("a", "b"))


def refused(answer, texts=("one", "two"), **params):
    """The sentence by which an answer is refused, after the address."""
    given = {"template": "{response}", "retries": 1, **params}
    with serving(answer) as server, pytest.raises(DataError) as caught:
        scores(server, **given).load().score(batch(*texts))
    address = f"http://127.0.0.1:{server.server_port}"
    sentence = str(caught.value)
    assert sentence.startswith(address)
    return sentence.removeprefix(address)


def test_an_answer_of_another_length_is_refused_with_the_rows_that_were_asked():
    for rows in ([], [[1.0]], [[1.0]] * 3):
        sentence = refused(lambda *_, rows=rows: classified(*rows))
        assert sentence == (
            f"/classify answered {len(rows)} of 2 rows about r0, r1, each of which needs one "
            "number or vector; check that url is the address up to /classify, and that model is "
            "served for this"
        )


def test_an_answer_that_gives_one_row_twice_is_refused():
    twice = classified([1.0], [2.0])
    twice[1]["data"][1]["index"] = 0
    assert refused(lambda *_: twice).startswith("/classify answered 0 of 2 rows about r0, r1")


def test_rows_in_another_order_are_put_back_by_their_index():
    answer = classified([1.0], [2.0], [3.0])
    answer[1]["data"].reverse()
    with serving(lambda *_: answer) as server:
        found = scores(server, template="{response}").load().score(batch("a", "b", "c"))
    assert found[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_an_answer_in_another_models_name_is_refused_unless_the_spec_knows_it():
    def other(*_):
        return classified([1.0], [2.0], model="n")

    assert refused(other) == (
        "/classify answered as the model n, not as m; ask for the model that you mean, or write "
        "answers_as: n where that is another name of it"
    )
    with serving(other) as server:
        model = scores(server, template="{response}", answers_as="n").load()
        assert model.score(batch("a", "b")).tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize("odd", [b"NaN", b"null", b"Infinity"])
def test_a_score_that_is_no_number_is_missing_and_the_query_says_which(odd, tmp_path):
    body = json.dumps(classified([1.5], [7.25])[1]).encode().replace(b"7.25", odd)
    data = small_pairs(1)
    with serving(lambda *_: (200, body)) as server:
        model = scores(server, template="{response}").load()
        found = model.score(batch("a", "b"))[:, 0].tolist()
        assert found[0] == 1.5
        assert not math.isfinite(found[1])
        with pytest.raises(StepError, match=r"no finite score for 1 of 2 responses \(.*/rejected"):
            run_step(Reward(), {"model": model, "data": data}, tmp_path)


@pytest.mark.parametrize("body", [b"<html>", b'{"data": "no"}', b'{"model": "m", "data": [[1]]}'])
def test_what_is_no_answer_is_told_in_one_sentence(body):
    sentence = refused(lambda *_: (200, body))
    assert sentence.startswith("/classify answered otherwise than vLLM's /classify does (")
    assert sentence.endswith("; check that url is the address up to /classify")
    assert "\n" not in sentence


def spread(body, shift, scale):
    return [[shift + scale * (len(text) % 10)] for text in body["input"]]


EIGHT = [("x" * size) for size in range(1, 11)]


def test_scores_that_all_lie_between_0_and_1_are_told():
    def told(shift, scale, **params):
        with serving(lambda body, _: classified(*spread(body, shift, scale))) as server:
            with collect_notices() as notices:
                scores(server, template="{response}", **params).load().score(batch(*EIGHT))
            assert server.requests[0][2]["use_activation"] is params.get("use_activation", False)
        return {what: notice.count for (what, _), notice in notices.items()}

    seems = "scores all between 0 and 1: the server seems to apply an activation"
    assert told(0.05, 0.1) == {seems: 10}
    assert told(-2.0, 0.5) == {}
    assert told(0.05, 0.1, use_activation=True) == {}
    none = "score not between 0 and 1, though an activation was asked for"
    assert told(-2.0, 0.5, use_activation=True) == {none: 7}


def test_a_softmax_of_a_single_output_is_refused():
    sentence = refused(lambda body, _: classified(*[[1.0]] * count(body)))
    assert sentence.startswith(
        "/classify gave the score 1 for all of 2 rows: the softmax of a single output; have the"
    )


def test_a_name_that_repeats_what_was_sent_shows_none_of_it():
    def echo(body, _):
        return classified([1.0], model=f"m for {body['messages'][-1]['content']}")

    with serving(echo) as server, pytest.raises(DataError, match=r"the model m for \[text\]") as e:
        scores(server).load().score(batch(SECRET))
    assert SECRET[:12] not in str(e.value)


def test_what_may_pass_is_asked_again_and_no_row_is_lost_or_swapped():
    def answer(body, number):
        if number % 3 == 1:
            return [(429, b"", {"Retry-After": "0"}), (500, b"oh"), leave][number // 3 % 3]
        return by_length(body, number)

    texts = ["y" * size for size in range(40)]
    with serving(answer) as server:
        found = scores(server, retries=20).load().score(batch(*texts))[:, 0]
    assert found.tolist() == [length_of(text) for text in texts]
    assert len(server.requests) > 55


def leave(handler):
    """Closes the connection without a word."""


def test_the_sentence_of_a_failure_names_rows_and_neither_texts_nor_the_key(monkeypatch):
    monkeypatch.setenv("SCORES_TEST_KEY", KEY)

    def echo(body, _):
        said = {"detail": [{"msg": "too long", "input": body["input"], "key": KEY}]}
        return 422, said

    texts = [SECRET, "short?!", 'with "quotes"\nand lines, which JSON writes otherwise'] + ["z"] * 5
    sentence = refused(echo, texts, key_variable="SCORES_TEST_KEY")
    assert sentence == (
        '/classify gave no answer about r0, r1, r2 and 1 more (422 Unprocessable Entity: {"detail":'
        ' [{"msg": "too long", "input": ["[text]", "short?!", "[text]", "z"], "key": "[key]"}]}); '
        "check url, model and the key, or raise retries or timeout"
    )


@pytest.mark.parametrize("params", [{}, {"template": "{response}"}, {"api": "score"}])
def test_an_answer_that_repeats_what_was_sent_shows_none_of_it(params):
    def echo(body, _):
        return 200, {"model": body, "data": []}

    with serving(echo) as server, pytest.raises(DataError) as caught:
        scores(server, **params).load().score(batch(SECRET, prompt=SECRET))
    assert "launch" not in "".join(traceback.format_exception(caught.value))
    assert "[text]" in str(caught.value)


def test_no_more_requests_begin_in_a_second_than_allowed(monkeypatch):
    class Clock:
        """Time that passes only by waiting."""

        now, waits = 100.0, []

        def wait(self, seconds):
            self.waits.append(round(seconds, 9))

    clock = Clock()
    monkeypatch.setattr("rmplug_endpoint._asking.time.monotonic", lambda: clock.now)
    pace = Pace(4)
    for _ in range(3):
        pace.wait(clock)
    clock.now += 10
    pace.wait(clock)
    assert clock.waits == [0, 0.25, 0.5, 0]


def test_further_fields_of_a_request_are_those_of_the_spec():
    with serving(by_length) as server:
        scores(server, body={"truncate_prompt_tokens": 64}).load().score(batch("a"))
        with pytest.raises(ValidationError, match="body cannot have messages, which other param"):
            scores(server, body={"messages": []})
    assert server.requests[0][2]["truncate_prompt_tokens"] == 64


def problems(params, tokens=False):
    reader = "  reader: {kind: tokenizer, params: {name: minilm}}\n" if tokens else ""
    inputs = "inputs: {tokens: reader}, " if tokens else ""
    spec = (
        f"name: n\nseed: 1\nsteps:\n{reader}  served: {{kind: endpoint-scores, {inputs}params: "
        f"{{url: 'http://h', model: m, {params}}}}}\n"
    )
    with pytest.raises(SpecError) as caught:
        load_spec(parse_source(spec, "spec.yaml"), discover())
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("params", "tokens", "sentence"),
    [
        ("api: sglang", False, "SGLang's /classify takes no messages; give template, or tokens"),
        ("api: openrlhf", False, "/get_reward takes no messages; give template, or tokens"),
        ("api: score", True, "score takes texts, not token ids; leave the input tokens out"),
        ("template: '{response}'", True, "with the input tokens, template has no say; leave it"),
        ("template: '{prompt}'", False, "template must have {response} once"),
    ],
)
def test_what_an_interface_cannot_take_is_told_before_anything_runs(params, tokens, sentence):
    [found] = problems(params, tokens)
    assert sentence in found


def test_a_model_that_is_no_tokenizer_gives_no_tokens():
    with serving(by_length) as server:
        model = scores(server).load()
        with pytest.raises(DataError, match="m gives no token ids of conversations; the input tok"):
            scores(server).load(model)


def test_the_kind_keeps_every_promise_of_a_step():
    with serving(by_length) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        check_step(EndpointScores, {"url": url, "model": "m"})


def test_no_rows_are_scored_without_a_request():
    with serving(by_length) as server:
        assert scores(server).load().score(batch()).shape == (0, 1)
    assert server.requests == []
