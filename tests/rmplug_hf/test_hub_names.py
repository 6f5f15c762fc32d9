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
    found = {**os.environ, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"}
    found["PYTHONPATH"] = os.pathsep.join(sys.path)
    code = LOAD.format(revision=revision)
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
