"""What is set in rmplug's own processes, and there alone."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys

import pytest

from rmplug._run.local_engine import Local
from rmplug._run.own_process import COLLECTED_AFTER

NAMES = ("GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT", "LRU_CACHE_CAPACITY")
SOON = ["1000", "16", "64"]
LIBRARIES = ("OMP_", "GOMP_", "OPENBLAS_")
COMMAND = """
import gc, json, os, sys
import rmplug._run.run  # with it, the command ends by sys.exit
from rmplug._cli.commands import console

sys.argv[1:] = ["--version"]
try:
    console()
finally:
    told = [os.environ.get(name) for name in json.loads(os.environ["NAMES"])]
    print(json.dumps([told, gc.get_threshold()]))
"""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, SOON),
        ({"OMP_WAIT_POLICY": "active"}, [None, "16", "64"]),
        ({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}, [None, None, "64"]),
        (
            {
                "GOMP_SPINCOUNT": "300000",
                "OPENBLAS_THREAD_TIMEOUT": "26",
                "LRU_CACHE_CAPACITY": "9",
            },
            ["300000", "26", "9"],
        ),
    ],
)
def test_a_command_has_threads_sleep_soon_unless_the_user_sets_their_library(
    given: dict[str, str], told: list[str | None]
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LIBRARIES)}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND],
        env={**kept, **given, "NAMES": json.dumps(NAMES)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [told, list(COLLECTED_AFTER)]


def settings_of(task: int) -> tuple[list[str | None], tuple[int, int, int]]:
    return [os.environ.get(name) for name in NAMES], gc.get_threshold()


@pytest.mark.parametrize("given", [{}, {"OMP_WAIT_POLICY": "active"}])
def test_workers_are_told_so_and_the_process_of_the_user_is_not(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(LIBRARIES)]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("LRU_CACHE_CAPACITY", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    engine = Local(workers=2, least_seconds=0)
    told, own = [None, "16", "64"] if given else SOON, gc.get_threshold()
    assert own != COLLECTED_AFTER
    settings = [result for _, result in engine.map(settings_of, range(4))]
    assert settings == [(told, COLLECTED_AFTER)] * 4
    engine.close()
    assert settings_of(0) == ([None, None, None], own)
