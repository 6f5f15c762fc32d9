"""Names on the hub, with a cache as the hub's library lays it out and no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from rmplug_hf import SequenceClassifier

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LOAD = """
from rmplug import DataError
from rmplug_hf import SequenceClassifier
try:
    step = SequenceClassifier(name="owner/model", revision={revision!r})
    print(step.identity()["commit"], step.load().outputs)
except DataError as error:
    print(error)
"""


@pytest.fixture
def cache(tiny, tmp_path):
    kept = tmp_path / "hub" / "models--owner--model"
    shutil.copytree(tiny("bert"), kept / "snapshots" / COMMIT)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(COMMIT)
    return tmp_path


def said(cache, revision):
    return printed(cache, LOAD.format(revision=revision))


def printed(cache, code):
    """What a program prints that has this cache and no network."""
    found = {**os.environ, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"}
    found["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=found
    )
    return done.stdout.strip()


def test_a_name_stands_for_the_commit_that_the_cache_holds(cache):
    assert said(cache, None) == f"{COMMIT} ('reward',)"


def test_a_name_that_is_not_in_the_cache_is_refused_offline(cache):
    assert said(cache, "v2").startswith(
        "the hub model owner/model (v2) is not in the local cache and cannot be fetched ("
    )
    assert f"owner/model ({'f' * 40}) is not in the local" in said(cache, "f" * 40)


def test_a_commit_needs_no_looking_up():
    assert SequenceClassifier(name="no/model", revision=COMMIT).identity() == {"commit": COMMIT}


TRAIN = """
import json, pathlib
from rmplug.testing import small_pairs
from rmplug_hf import Encoder, LinearHead, RewardHead
folder = pathlib.Path({folder!r})
folder.mkdir(exist_ok=True)
encoder = Encoder(name="owner/model", device="cpu").load()
LinearHead(folds=2, l2=[0.1]).train(encoder, small_pairs(), seed=1, directory=folder)
recorded = json.loads((folder / "config.json").read_text())["encoder"]
print(recorded["name"], recorded["revision"], RewardHead(path=folder).load().outputs)
"""
OPEN = """
from rmplug import DataError
from rmplug_hf import RewardHead
try:
    print(RewardHead(path={folder!r}).load().outputs)
except DataError as error:
    print(error)
"""


def test_a_head_on_a_name_of_the_hub_opens_at_the_commit_it_was_trained_on(cache, tmp_path):
    folder = str(tmp_path / "head")
    trained = printed(cache, TRAIN.format(folder=folder))
    assert trained == f"owner/model {COMMIT} ('reward',)"
    (cache / "hub/models--owner--model/refs/main").write_text("f" * 40)
    assert printed(cache, OPEN.format(folder=folder)) == "('reward',)"
    shutil.rmtree(cache / "hub/models--owner--model")
    assert (
        "was trained on the hub model owner/model (0123456789ab), which is not in the"
        in printed(cache, OPEN.format(folder=folder))
    )
