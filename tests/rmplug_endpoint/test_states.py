"""States from a model behind an address, for queries and heads: a real encoder answers."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
from model_server import serving, states, vllm

from rmplug import DataError, Origin, Responses, reopen
from rmplug.data.rows import one_batch
from rmplug.models.head_encoders import encoder_of
from rmplug.models.state_encoder import StateEncoder
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step, small_pairs
from rmplug.testing.tiny_models import tiny_model
from rmplug_endpoint import EndpointStates
from rmplug_hf import Encoder, HiddenState
from rmplug_hf.loading.tokenizers import Tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model("llama", tmp_path_factory.mktemp("tiny"), head="none")


@pytest.fixture(scope="module")
def encoder(folder):
    return Encoder(path=folder, template="chat", pooling="last").load()


def test_the_query_gives_the_states_of_the_model_here(encoder, tmp_path):
    data = small_pairs(4)
    for params in ({"part": "both"}, {"part": "prompt", "prompt_end": "response"}):
        step = HiddenState(**params)
        here = run_step(step, {"model": encoder, "data": data}, tmp_path / str(len(params)) / "a")
        with serving(vllm(encoder)) as server:
            inputs = {"model": states(server).load(), "data": data}
            there = run_step(step, inputs, tmp_path / str(len(params)) / "b")
        assert {(path, b["task"], b["use_activation"]) for path, _, b in server.requests} == {
            ("/pooling", "embed", False)
        }
        assert here.values == there.values
        for name in here.values:
            one, other = (np.stack(table[name].to_numpy()) for table in (here, there))
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-5)


def batch(*texts):
    ids = [f"r{row}" for row in range(len(texts))]
    return one_batch(
        Responses({"id": ids, "prompt": ["p"] * len(texts), "response": list(texts)}).table
    )


TOKENS = [[1.0, 2.0], [3.0, 5.0], [8.0, 8.0]]


@pytest.mark.parametrize(
    ("pooling", "expected"), [("last", [8, 8]), ("cls", [1, 2]), ("mean", [4, 5])]
)
def test_states_of_tokens_are_pooled_here(pooling, expected):
    def answer(body, _):
        assert body["task"] == "token_embed"
        rows = [{"index": i, "data": TOKENS} for i in range(len(body["input"]))]
        return 200, {"model": "m", "data": rows}

    with serving(answer) as server:
        model = states(server, pooling=pooling, template="{response}").load()
        assert model.vectors(batch("a", "b")).tolist() == [expected, expected]


@pytest.mark.parametrize("odd", [[], [[]], [[1.0, 2.0], [3.0]], [[1.0], [], [2.0]]])
@pytest.mark.parametrize("pooling", ["server", "mean", "last"])
def test_states_of_no_width_or_of_several_are_refused(pooling, odd):
    def answer(*_):
        return 200, {"model": "m", "data": [{"index": 0, "data": odd}]}

    with serving(answer) as server, pytest.raises(DataError, match=r"gave no states, or .*\(r0\)"):
        states(server, pooling=pooling).load().vectors(batch("a"))


def test_a_state_that_is_too_large_for_a_float_is_not_finite():
    def answer(*_):
        return 200, {"model": "m", "data": [{"index": 0, "data": [1e300, 1.0]}]}

    with serving(answer) as server:
        assert states(server).load().vectors(batch("a")).tolist() == [[np.inf, 1.0]]


@pytest.mark.parametrize(
    ("api", "path", "shape"),
    [
        ("embeddings", "/v1/embeddings", lambda v: {"model": "m", "data": [{"index": 0, **v}]}),
        ("sglang", "/encode", lambda v: [{**v, "meta_info": {}}]),
    ],
)
def test_other_interfaces_give_one_vector(api, path, shape):
    with serving(lambda *_: (200, shape({"embedding": [3.0, -4.0]}))) as server:
        model = states(server, api=api, template="{response}").load()
        assert model.vectors(batch("a")).tolist() == [[3.0, -4.0]]
    assert server.requests[0][0] == path


def test_token_ids_of_the_same_model_are_sent_and_such_an_encoder_is_not_recorded(folder):
    def answer(body, _):
        rows = [{"index": i, "data": [len(ids), 0.5]} for i, ids in enumerate(body["input"])]
        return 200, {"model": "m", "data": rows}

    reader = Tokenizer(path=folder).load()
    rows = batch("a", "longer")
    with serving(answer) as server:
        model = states(server).load(reader)
        whole, prompts = model.vectors_and_prompts(rows, "turn")
        assert whole[:, 0].tolist() == [len(ids) for ids in reader.token_ids(rows)]
        assert prompts[:, 0].tolist() == [len(ids) for ids in reader.token_ids(rows, "turn")]
    with pytest.raises(DataError, match="m is no encoder that can be .*the input tokens"):
        encoder_of(model)


def test_a_record_names_no_address_and_opens_only_where_the_user_does(encoder, tmp_path):
    rows = batch("a", "b")
    with serving(vllm(encoder)) as server:
        model = states(server, key_variable=None).load()
        assert isinstance(model, StateEncoder)
        origin = encoder_of(model).origin()
        assert "127.0.0.1" not in repr(origin)
        before = len(server.requests)
        with pytest.raises(DataError, match="the kind endpoint-states, and does not say its url: "):
            reopen(origin, tmp_path)
        stranger = Origin(origin.kind, {**origin.params, "url": "http://evil.example"})
        with pytest.raises(DataError, match="asks for url: 'http://evil.example' to open its end"):
            reopen(stranger, tmp_path)
        assert len(server.requests) == before
        again = reopen(origin, tmp_path, **states(server).settings_to_reopen())
        np.testing.assert_array_equal(again.vectors(rows), model.vectors(rows))


def test_states_that_the_server_scales_are_told():
    def answer(body, _):
        rows = [{"index": i, "data": [0.6, 0.8]} for i in range(len(body["input"]))]
        return 200, {"model": "m", "data": rows}

    with serving(answer) as server:
        for normalise, told in ((False, 2), (True, None)):
            with collect_notices() as notices:
                model = states(server, template="{response}", normalise=normalise).load()
                model.vectors(batch("a", "b"))
            assert [notice.count for notice in notices.values()] == ([told] if told else [])


def test_layers_are_those_of_the_server(encoder, tmp_path):
    with serving(vllm(encoder)) as server:
        model = states(server).load()
        inputs = {"model": model, "data": small_pairs(2)}
        with pytest.raises(
            Exception, match="gives states of its own layer and pooling only; leave"
        ):
            run_step(HiddenState(layer=1), inputs, tmp_path)
        with pytest.raises(DataError, match="the served encoder m has no score; ask for its sta"):
            model.score(batch("a"))


def test_the_kind_keeps_every_promise_of_a_step():
    check_step(EndpointStates, {"url": "http://localhost:8000", "model": "m"})
