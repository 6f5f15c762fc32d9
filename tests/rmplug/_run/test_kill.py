"""Runs that are killed or interrupted: the next one ends as if nothing had happened."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from run_specs import all_files, assert_valid, command, environment, lines, spec_of

KILLS = 20
SHARDS = 12


def steps(log: Path) -> dict[str, Any]:
    slow = {"pause": 0.03, "log": str(log)}
    return {
        "pairs": {"kind": "made-pairs", "params": {"rows": 10 * SHARDS}},
        "one": {"kind": "lengths", "inputs": "pairs", "params": {**slow, "scale": 1}},
        "two": {"kind": "lengths", "inputs": "pairs", "params": {**slow, "scale": 2}},
        "fit": {"kind": "line", "inputs": {"features": ["one"], "target": "two.chosen"}},
        "page": {"kind": "page", "inputs": ["two", "fit"]},
    }


def write_spec(folder: Path, log: Path, workers: int) -> Path:
    path = folder / f"workers-{workers}.yaml"
    path.write_text(json.dumps(spec_of(steps(log), workers)))
    return path


def start(arguments: list[str], env: dict[str, str]) -> psutil.Popen:
    return psutil.Popen(
        arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(arguments: list[str], env: dict[str, str]) -> float:
    started = time.monotonic()
    process = start(arguments, env)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 0, told
    return time.monotonic() - started


def kill(process: psutil.Popen) -> None:
    """Kill a run with SIGKILL. No process of it stays behind."""
    family = process.children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert psutil.wait_procs(family, timeout=20)[1] == []


def kill_after(delay: float, arguments: list[str], env: dict[str, str]) -> bool:
    """Kill a run after some seconds; whether it was still going on."""
    process = start(arguments, env)
    try:
        code = process.wait(timeout=delay)
    except psutil.TimeoutExpired:
        kill(process)
        return True
    process.stdout.close()
    assert code == 0
    return False


def test_after_sigkill_at_any_moment_the_next_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    env, log, store = environment(tmp_path / "site"), tmp_path / "log", tmp_path / "store"
    specs = {workers: write_spec(tmp_path, log, workers) for workers in (1, 2)}
    length = {n: finish(command(specs[n], tmp_path / f"whole-{n}"), env) for n in (1, 2)}
    undisturbed = all_files(tmp_path / "whole-1")
    assert len(undisturbed) > 2 * SHARDS and all_files(tmp_path / "whole-2") == undisturbed
    log.unlink()
    chance = random.Random(13)
    kills, in_flight, stores = 0, 0, 0
    while kills < KILLS or store.exists():
        workers = chance.choice((1, 2))
        arguments = command(specs[workers], store)
        if kills < KILLS and kill_after(chance.uniform(0, length[workers]), arguments, env):
            kills, in_flight = kills + 1, in_flight + workers
            if store.exists():
                assert_valid(store)
            continue
        length[workers] = finish(arguments, env)
        assert all_files(store) == undisturbed
        assert len(lines(log)) <= 2 * SHARDS + in_flight
        assert len({line.split()[1] for line in lines(log)}) == SHARDS
        log.unlink()
        store = store.with_name(f"store-{stores}")
        stores, in_flight = stores + 1, 0


def until(happened: Callable[[], bool], process: psutil.Popen) -> None:
    """Wait until something has happened while a process goes on."""
    while not happened():
        with suppress(psutil.TimeoutExpired):
            raise AssertionError(f"ended with {process.wait(timeout=0.005)}")


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_resumable_store_and_exits_130(tmp_path: Path, workers: int) -> None:
    env, log, store = environment(tmp_path / "site"), tmp_path / "log", tmp_path / "store"
    arguments = command(write_spec(tmp_path, log, workers), store)
    process = start(arguments, env)
    until(lambda: len(lines(log)) >= 3, process)
    family = process.children(recursive=True)
    for member in [process, *family]:
        with suppress(psutil.NoSuchProcess):  # the first may have ended the others by then
            member.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert told.splitlines()[-1] == "rmplug: interrupted; run the same command to go on"
    assert "Traceback" not in told
    assert psutil.wait_procs(family, timeout=20)[1] == []
    [record] = [json.loads(path.read_text()) for path in store.glob("runs/*/record.json")]
    assert record["status"] == "interrupted" and record["steps"]["one"]["status"] == "interrupted"
    assert_valid(store)
    done = len(lines(log))
    finish(arguments, env)
    assert len(lines(log)) <= 2 * SHARDS + workers and done >= 3


def test_sigterm_ends_a_run_as_ctrl_c_does_and_leaks_nothing(tmp_path: Path) -> None:
    env, log, store = environment(tmp_path / "site"), tmp_path / "log", tmp_path / "store"
    process = start(command(write_spec(tmp_path, log, 2), store), env)
    until(lambda: len(lines(log)) >= 3, process)
    family = process.children(recursive=True)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 143
    assert told.splitlines()[-1] == "rmplug: interrupted; run the same command to go on"
    assert "leaked" not in told and "Traceback" not in told
    assert psutil.wait_procs(family, timeout=20)[1] == []
    [record] = [json.loads(path.read_text()) for path in store.glob("runs/*/record.json")]
    assert record["status"] == "interrupted"
    assert_valid(store)


def test_ctrl_c_while_workers_start_is_told_in_one_line(tmp_path: Path) -> None:
    env, log, store = environment(tmp_path / "site"), tmp_path / "log", tmp_path / "store"
    process = start(command(write_spec(tmp_path, log, 2), store), env)
    until(lambda: len(process.children()) >= 2, process)
    family = process.children(recursive=True)
    for member in [process, *family]:
        with suppress(psutil.NoSuchProcess):  # one that the first signal has ended
            member.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and "Traceback" not in told
    assert psutil.wait_procs(family, timeout=20)[1] == []
