"""Our own client asks our own server: the scores are those of the model in this process."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
from running_server import running

import rmplug
from rmplug import DataError
from rmplug.data.rows import one_batch
from rmplug.notices import collect_notices
from rmplug.testing import run_step, small_responses
from rmplug.testing.tiny_models import tiny_model
from rmplug_endpoint import EndpointScores
from rmplug_hf.loading.tokenizers import Tokenizer
from rmplug_text.queries import Reward

TOKEN = "a-token-0123456789"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model("llama", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def scorer(folder):
    return rmplug.load(folder)


@pytest.fixture(scope="module")
def address(scorer):
    with running(scorer, token=TOKEN) as (address, _):
        yield address


@pytest.fixture
def served(address, monkeypatch):
    """``served(api="score")``: the model behind the address."""
    monkeypatch.setenv("ROUND_TRIP_TOKEN", TOKEN)
    given = {"url": address, "model": "tiny", "key_variable": "ROUND_TRIP_TOKEN", "wait": 0}
    return lambda tokens=None, **params: EndpointScores(**{**given, **params}).load(tokens)


@pytest.fixture(scope="module")
def batch():
    return one_batch(small_responses(40).table)


def test_messages_have_the_scores_of_the_model_here(served, scorer, batch):
    expected = scorer.model.score(batch)
    with collect_notices() as notices:
        found = served(concurrency=16).score(batch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.1
    assert not notices


def test_token_ids_have_the_scores_of_the_model_here(served, scorer, folder, batch):
    found = served(Tokenizer(path=folder).load(), rows_per_request=7).score(batch)
    np.testing.assert_allclose(found, scorer.model.score(batch), rtol=0, atol=1e-5)


def test_prompts_with_responses_have_the_scores_of_the_model_here(served, scorer, batch):
    expected = scorer.model.score(batch)
    for params in ({"api": "score"}, {"api": "openrlhf", "template": "{prompt}{response}"}):
        np.testing.assert_allclose(served(**params).score(batch), expected, rtol=0, atol=1e-5)


def test_an_activation_that_is_asked_for_is_applied(served, scorer, batch):
    raw = scorer.model.score(batch)
    found = served(use_activation=True).score(batch)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-raw)), rtol=0, atol=1e-5)


def test_a_query_gives_the_same_features(served, scorer, tmp_path):
    data = small_responses(12)
    here, there = (
        run_step(Reward(), {"model": model, "data": data}, tmp_path / name).to_pandas()
        for name, model in (("here", scorer.model), ("there", served()))
    )
    assert list(here) == list(there)
    numbers = [name for name in here if name not in ("id", "group")]
    np.testing.assert_allclose(there[numbers], here[numbers], rtol=0, atol=1e-5)


def test_a_wrong_token_and_a_wrong_name_are_told(served, batch, monkeypatch):
    with pytest.raises(DataError, match="404 Not Found.*the model large is not served; tiny is"):
        served(model="large").score(batch)
    model = served()
    monkeypatch.setenv("ROUND_TRIP_TOKEN", "another-token-0123")
    with pytest.raises(DataError, match="401 Unauthorized.*this server asks for its token") as told:
        served().score(batch)
    assert "another-token" not in str(told.value)
    assert model.score(batch).shape == (len(batch), 1)
