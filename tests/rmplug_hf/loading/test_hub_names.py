"""Names on the hub, with a cache as the hub's library lays it out and no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import huggingface_hub.constants
import pytest

from rmplug import DataError
from rmplug.testing import small_pairs
from rmplug_hf import Encoder, LinearHead, RewardHead, SequenceClassifier

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LOAD = """
from rmplug_hf import SequenceClassifier
step = SequenceClassifier(name="owner/model")
print(step.identity()["commit"], step.load().outputs)
"""


@pytest.fixture
def home(tiny, tmp_path):
    """The folder of a cache that holds one model."""
    kept = tmp_path / "hub" / "models--owner--model"
    shutil.copytree(tiny("bert"), kept / "snapshots" / COMMIT)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(COMMIT)
    return tmp_path


@pytest.fixture
def cached(home, monkeypatch):
    """The folder of that model, in a cache that this process has, without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return home / "hub" / "models--owner--model"


def test_a_name_stands_for_the_commit_that_the_cache_of_the_environment_holds(home):
    found = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    found["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", LOAD], capture_output=True, text=True, check=True, env=found
    )
    assert done.stdout.strip() == f"{COMMIT} ('reward',)"


@pytest.mark.parametrize("revision", ["v2", "f" * 40])
def test_a_name_that_is_not_in_the_cache_is_refused_offline(cached, revision):
    step = SequenceClassifier(name="owner/model", revision=revision)
    sentence = rf"the hub model owner/model \({revision}\) is not in the local cache and cannot be"
    with pytest.raises(DataError, match=sentence):
        step.identity()
        step.load()


def test_a_commit_needs_no_looking_up():
    step = SequenceClassifier(name="no/model", revision=COMMIT, dtype="float32")
    assert step.identity() == {"commit": COMMIT}


def test_a_head_on_a_name_of_the_hub_opens_at_the_commit_it_was_trained_on(cached, tmp_path):
    folder = tmp_path / "head"
    folder.mkdir()
    encoder = Encoder(name="owner/model", device="cpu").load()
    LinearHead(folds=2, l2=[0.1]).train(encoder, small_pairs(), seed=1, directory=folder)
    recorded = json.loads((folder / "config.json").read_text())["encoder"]
    assert (recorded["name"], recorded["revision"]) == ("owner/model", COMMIT)
    assert RewardHead(path=folder).load().outputs == ("reward",)
    (cached / "refs/main").write_text("f" * 40)
    assert RewardHead(path=folder).load().outputs == ("reward",)
    shutil.rmtree(cached)
    sentence = r"was trained on the hub model owner/model \(0123456789ab\), which is not in the"
    with pytest.raises(DataError, match=sentence):
        RewardHead(path=folder).load()
