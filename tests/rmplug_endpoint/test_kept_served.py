"""Numbers from a server, kept where a spec promises that the model behind the name stays."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import itertools
import json

import numpy as np
import pytest
from model_server import classified, serving, vllm

import rmplug
from rmplug import StepError
from rmplug.testing.tiny_models import tiny_model
from rmplug_hf import Encoder

TEMPLATE = "{prompt} {response}"
ENGINE = {"kind": "local", "params": {"workers": 1}}


def lengths(body, _):
    """What a reward model of vLLM answers whose reward is the length of the text."""
    return classified(*([len(text) / 10] for text in body["input"]))


def listed(root="org/model", **more):
    """vLLM's list of models: ``created`` is when it was asked."""
    clock = itertools.count(1)
    return lambda: (200, {"object": "list", "data": [
        {"id": "other", "root": "org/other"},
        {"id": "m", "object": "model", "created": next(clock), "root": root, **more},
    ]})  # fmt: skip


@pytest.fixture
def server():
    with serving(lengths) as server:
        server.models = listed()
        yield server


@pytest.fixture
def ask(server, tmp_path):
    """``ask(6, revision="a")``: rewards of the first 6 pairs; how many texts the server got."""

    def run(count, store="store", engine=ENGINE, **params):
        file = tmp_path / f"{count}.jsonl"
        rows = ({"id": f"p{n}", "prompt": f"Say {n}", "chosen": "yes " * (n + 1), "rejected": "no"}
                for n in range(count))  # fmt: skip
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        url = f"http://127.0.0.1:{server.server_port}"
        given = {"url": url, "model": "m", "wait": 0, "template": TEMPLATE, **params}
        steps = {
            "pairs": {"kind": "pairs-file", "params": {"path": str(file)}},
            "served": {"kind": "endpoint-scores", "params": given},
            "reward": {
                "kind": "reward",
                "inputs": {"model": "served", "data": "pairs"},
                "params": {"on_missing": "keep"},
            },
        }
        before = len(server.requests)
        spec = {"name": "kept", "steps": steps, "engine": engine}
        done = rmplug.run(spec, store=tmp_path / store)
        asked = sum(len(body["input"]) for _, _, body in server.requests[before:])
        return done, asked

    return run


def known(done):
    step = done.record.steps["reward"]
    return step.texts_known, step.texts_computed


def test_a_run_with_more_rows_asks_about_the_new_texts_alone(ask, server):
    first, asked = ask(6, revision="2026-11")
    assert (asked, known(first)) == (12, (0, 12))
    second, asked = ask(8, revision="2026-11")
    assert (asked, known(second)) == (4, (12, 4))
    expected = [len(f"Say {n} " + "yes " * (n + 1)) / 10 for n in range(8)]
    np.testing.assert_allclose(np.asarray(second["reward"]["chosen"]), expected)
    assert {path for path, _ in server.listed} == {"/v1/models"}


def test_a_served_model_is_asked_about_no_row_on_trial(ask):
    several = {"kind": "local", "params": {"workers": 2, "shard_rows": 4}}
    done, asked = ask(12, engine=several)
    assert asked == 24 and done.record.steps["reward"].computed == 12


def test_without_a_promise_nothing_is_kept(ask, server, tmp_path):
    ask(6)
    done, asked = ask(8)
    assert asked == 16 and known(done) == (0, 0)
    assert not server.listed and not list((tmp_path / "store").glob("kept/*"))


@pytest.mark.parametrize(
    "other",
    [
        {"revision": "2026-12"},
        {"template": "{prompt}  {response}"},
        {"use_activation": True},
        {"body": {"truncate_prompt_tokens": 8}},
    ],
)
def test_another_promise_or_setting_is_asked_anew(ask, other):
    ask(6, revision="2026-11")
    _, asked = ask(8, **{"revision": "2026-11", **other})
    assert asked == 16


def test_how_fast_and_with_which_key_it_is_asked_and_names_of_outputs_change_nothing(
    ask, monkeypatch, tmp_path
):
    monkeypatch.setenv("SERVED_KEY", "sesame-0123456789")
    ask(6, revision="2026-11", key_variable="SERVED_KEY")
    _, asked = ask(8, revision="2026-11", concurrency=2, rows_per_request=3, outputs=["quality"])
    assert asked == 4
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sesame-0123456789" not in written and b"org/model" in written


def test_a_model_that_the_server_has_from_elsewhere_now_is_asked_anew(ask, server):
    ask(6, revision="2026-11")
    server.models = listed(max_model_len=4096)
    _, asked = ask(8, revision="2026-11")
    assert asked == 16
    server.models = listed(root="org/model")
    _, asked = ask(9, revision="2026-11")
    assert asked == 6, "the first 6 pairs are known of it"


@pytest.mark.parametrize(
    "models", [lambda: (404, {}), lambda: (200, b"no json"), lambda: (200, {"data": [{"id": "x"}]})]
)
def test_where_a_server_says_nothing_of_itself_the_promise_counts(ask, server, models):
    server.models = models
    ask(6, revision="2026-11")
    _, asked = ask(8, revision="2026-11")
    assert asked == 4


def test_a_server_that_cannot_be_reached_ends_the_step_and_nothing_is_paid_twice(ask, server):
    ask(6, revision="2026-11")
    server.models = lambda: (503, {"error": "starting"})
    before = len(server.requests)
    with pytest.raises(StepError, match="/v1/models gave no answer after 2 tries .*503"):
        ask(8, revision="2026-11", retries=1)
    assert len(server.requests) == before


def test_a_score_that_the_server_does_not_give_is_asked_for_again(ask, server):
    server.answer = lambda body, _: classified(
        *([None if "Say 1" in text else len(text)] for text in body["input"])
    )
    ask(6, revision="2026-11")
    server.answer = lengths
    done, asked = ask(8, revision="2026-11")
    assert asked == 2 + 4
    assert np.isfinite(np.asarray(done["reward"]["margin"])).all()


def test_a_head_is_trained_on_states_that_are_kept(tmp_path):
    """The texts of the pairs are sent once, for the query and for the head that takes no states."""
    folder = tiny_model("llama", tmp_path / "tiny", head="none")
    encoder = Encoder(path=folder, template="chat", pooling="last", device="cpu").load()
    rows = [
        {"id": f"p{n}", "prompt": f"Say {n // 2}", "chosen": f"great {n}", "rejected": f"no {n}"}
        for n in range(12)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving(vllm(encoder)) as server:
        params = {"url": f"http://127.0.0.1:{server.server_port}", "model": "m", "revision": "1"}
        steps = {
            "pairs": {"kind": "pairs-file", "params": {"path": str(tmp_path / "pairs.jsonl")}},
            "backbone": {"kind": "endpoint-states", "params": params},
            "states": {"kind": "hidden-state", "inputs": {"model": "backbone", "data": "pairs"}},
        }
        asked = {"model": "backbone", "data": "pairs"}
        head = {"kind": "linear-head", "inputs": asked, "params": {"l2": [0.1]}}
        reward = {"kind": "reward", "inputs": {"model": "head", "data": "pairs"}}
        spec = {"name": "kept", "steps": steps, "engine": ENGINE}
        rmplug.run(spec, store=tmp_path / "store")
        assert len(server.requests) == 24
        steps |= {"head": head, "reward": reward}
        done = rmplug.run(spec, store=tmp_path / "store")
        assert len(server.requests) == 24 + 2 + 2, "two fixed texts, written down and proved"
    assert done.record.steps["reward"].texts_known == 24
