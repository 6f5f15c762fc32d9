"""Answers that a server gave before its step failed, or was killed: nobody pays for them again."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from contextlib import suppress
from subprocess import DEVNULL

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_server import Paid, classified, hang, lengths, paid_steps, serving
from run_specs import all_files, command
from s3_server import machine, new_address, objects, s3_server, use

import rmplug
from rmplug import StepError
from rmplug._store import gc
from rmplug._store.store import Store
from rmplug._store.store_folder import open_store

KEPT = re.compile(r"^kept/.*\.parquet$")


@pytest.fixture
def server():
    with serving(Paid(10**6)) as server:
        yield server


@pytest.fixture
def spec(server, tmp_path):
    """``spec(40)``: ask about 40 pairs, all of different texts."""

    def make(count, shard_rows=1000, **params):
        engine = {"kind": "local", "params": {"workers": 1, "shard_rows": shard_rows}}
        return {
            "name": "paid",
            "engine": engine,
            "steps": paid_steps(server, tmp_path, count, **params),
        }

    return make


def kept_in(store):
    """How many values a store has."""
    return sum(pq.read_metadata(path).num_rows for path in store.glob("kept/*/*.parquet"))


@pytest.mark.parametrize("shard_rows", [1000, 4])
def test_what_was_answered_before_a_failure_is_not_asked_for_again(
    server, spec, tmp_path, shard_rows
):
    whole = tmp_path / "whole"
    rmplug.run(spec(40, shard_rows), store=whole)
    server.answer = failing = Paid(31)
    with pytest.raises(StepError, match="gave no answer about .* after 2 tries .*out of memory"):
        rmplug.run(spec(40, shard_rows), store=tmp_path / "store")
    assert 20 < failing.texts.total() <= 31
    server.answer = rest = Paid(10**6)
    done = rmplug.run(spec(40, shard_rows), store=tmp_path / "store")
    asked = failing.texts + rest.texts
    assert set(asked.values()) == {1} and len(asked) == 80
    assert done.record.steps["reward"].texts_computed == len(rest.texts)
    assert all_files(tmp_path / "store") == all_files(whole)


def test_another_step_knows_what_one_was_answered_that_failed(server, spec, tmp_path):
    server.answer = failing = Paid(31)
    with pytest.raises(StepError):
        rmplug.run(spec(40), store=tmp_path / "store")
    server.answer = rest = Paid(10**6)
    rmplug.run(spec(44, concurrency=2, rows_per_request=16), store=tmp_path / "store")
    assert (
        set((failing.texts + rest.texts).values()) == {1} and len(failing.texts + rest.texts) == 88
    )
    rmplug.run(spec(40), store=tmp_path / "store")
    assert rest.texts.total() + failing.texts.total() == 88


def one_short(texts):
    """An answer that lacks a row."""
    return lengths(texts[1:])


def two_each(texts):
    return classified(*([1.5, 2.5] for _ in texts))


def no_number(texts):
    return classified(*([None] for _ in texts))


def of_another(texts):
    return classified(*([0.5] for _ in texts), model="other")


@pytest.mark.parametrize("odd", [one_short, two_each, no_number, of_another])
def test_an_answer_that_is_refused_is_not_kept(server, spec, tmp_path, odd):
    server.answer = failing = Paid(31, odd)
    with pytest.raises(StepError):
        rmplug.run(spec(40), store=tmp_path / "store")
    assert kept_in(tmp_path / "store") == failing.texts.total() > 0
    server.answer = rest = Paid(10**6)
    done = rmplug.run(spec(40), store=tmp_path / "store")
    assert set((failing.texts + rest.texts).values()) == {1}
    expected = [len(f"Say {n} " + "yes " * (n + 1)) / 10 for n in range(40)]
    np.testing.assert_array_equal(np.asarray(done["reward"]["chosen"]), expected)


def test_a_softmax_of_one_output_is_known_when_all_have_come_and_not_kept(server, spec, tmp_path):
    server.answer = Paid(0, lambda texts: classified(*([1.0] for _ in texts)))
    with pytest.raises(StepError, match="the softmax of a single output"):
        rmplug.run(spec(40), store=tmp_path / "store")
    assert kept_in(tmp_path / "store") == 0
    server.answer = good = Paid(10**6, lengths)
    rmplug.run(spec(40), store=tmp_path / "store")
    assert good.texts.total() == 80


def test_a_score_that_is_one_by_chance_is_kept_with_the_step(server, spec, tmp_path):
    server.answer = lambda body, _: classified(*([len(text) % 2] for text in body["input"]))
    rmplug.run(spec(40), store=tmp_path / "store")
    assert kept_in(tmp_path / "store") == 80
    server.answer = rest = Paid(10**6)
    rmplug.run(spec(42), store=tmp_path / "store")
    assert rest.texts.total() == 4


def kept_at(place):
    """How many values a store has, in a folder or at an address; 0 while one is being written."""
    files = (data for name, data in objects(str(place)).items() if KEPT.search(name))
    with suppress(pa.ArrowInvalid):
        return sum(pq.read_metadata(pa.BufferReader(data)).num_rows for data in files)
    return 0


@pytest.mark.parametrize("where", ["folder", "address"])
def test_what_was_answered_before_a_kill_is_not_asked_for_again(
    server, spec, tmp_path, monkeypatch, where
):
    with s3_server() as s3:
        use(s3, monkeypatch)
        machine(tmp_path / "here", monkeypatch)
        store = tmp_path / "store" if where == "folder" else new_address(s3, tmp_path)
        server.answer = killed = Paid(31, lambda _: hang)
        (tmp_path / "spec.yaml").write_text(json.dumps(spec(40)))
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = psutil.Popen(command(tmp_path / "spec.yaml", store), env=env, stdout=DEVNULL)
        while kept_at(store) < 30:
            with suppress(psutil.TimeoutExpired):
                raise AssertionError(f"ended with {process.wait(timeout=0.01)}")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert set(killed.texts.values()) == {1} and len(killed.texts) == kept_at(store) == 30
        monkeypatch.setattr(gc, "MARGIN", -100.0)
        assert gc.collect_garbage(open_store(store)).names == []
        machine(tmp_path / "there", monkeypatch)
        server.answer = rest = Paid(10**6)
        rmplug.run(spec(40), store=store)
        assert set((killed.texts + rest.texts).values()) == {1}
        assert (rest.texts.total(), kept_at(store)) == (50, 80)


def test_what_was_answered_before_a_failure_is_known_on_another_machine_after_gc(
    server, spec, tmp_path, monkeypatch
):
    with s3_server() as s3:
        use(s3, monkeypatch)
        machine(tmp_path / "here", monkeypatch)
        store = new_address(s3, tmp_path)
        server.answer = failing = Paid(31)
        with pytest.raises(StepError):
            rmplug.run(spec(40), store=store)
        machine(tmp_path / "there", monkeypatch)
        monkeypatch.setattr(gc, "MARGIN", -100.0)
        assert gc.collect_garbage(open_store(store)).names == []
        server.answer = rest = Paid(10**6)
        rmplug.run(spec(40), store=store)
        assert set((failing.texts + rest.texts).values()) == {1}


def test_values_go_with_the_last_run_in_which_their_step_failed(server, spec, tmp_path):
    server.answer = Paid(31)
    with pytest.raises(StepError):
        rmplug.run(spec(40), store=tmp_path / "store")
    rmplug.run({"name": "other", "steps": {"pairs": spec(3)["steps"]["pairs"]}},
               store=tmp_path / "store")  # fmt: skip
    store = Store(tmp_path / "store")
    assert gc.collect_garbage(store).names == [] and kept_in(store.root) > 0
    gc.collect_garbage(store, keep=1)
    assert kept_in(store.root) == 0


def test_two_runs_at_once_may_ask_and_keep_the_same(server, spec, tmp_path):
    (tmp_path / "spec.yaml").write_text(json.dumps(spec(41)))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    arguments = command(tmp_path / "spec.yaml", tmp_path / "store")
    with psutil.Popen(arguments, env=env, stdout=DEVNULL) as other:
        done = rmplug.run(spec(40), store=tmp_path / "store")
        assert other.wait(timeout=60) == 0
    before = server.answer.texts.total()
    rmplug.run(spec(42), store=tmp_path / "store")
    assert server.answer.texts.total() == before + 2
    assert len(done["reward"]) == 40
