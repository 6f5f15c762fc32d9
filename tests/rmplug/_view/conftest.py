"""A store with runs of every sort, and a real server of its pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sample_plugin

import rmplug_bench
import rmplug_text
from rmplug._run.finished import Run
from rmplug._run.run import run
from rmplug._store.run_records import new_record, write_record
from rmplug._store.store import Store
from rmplug.testing import registry_of

REGISTRY = registry_of(sample_plugin, rmplug_text, rmplug_bench)
ENGINE = {"kind": "local", "params": {"workers": 1, "shard_rows": 50}}
STEPS: dict[str, Any] = {
    "pairs": {"kind": "made-pairs", "params": {"rows": 120}},
    "words": {"kind": "lengths", "inputs": "pairs"},
    "mean": {"kind": "mean", "inputs": ["words"]},
    "model": {"kind": "length-model"},
    "reward": {"kind": "reward", "inputs": {"model": "model", "data": "pairs"}},
    "accuracy": {"kind": "pairwise", "inputs": {"data": "pairs", "rewards": ["reward"]}},
    "page": {"kind": "page", "inputs": ["mean"]},
}
HOSTILE = "<script>window.hacked = 1</script>\u202egnp.exe\x1b[31m"
HOSTILE_REPORT = """<!doctype html><title>report</title><p id="said">waiting</p><script>
const tried = [];
for (const reach of [() => parent.document.title, () => document.cookie, () => localStorage.length])
  try { reach(); tried.push("reached"); } catch (error) { tried.push(error.name); }
fetch("/").then(() => "fetched", () => "refused").then((word) => {
  document.getElementById("said").textContent = [...tried, word, origin].join(" ");
});
</script><a id="more" href="more.json">more</a>"""


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("view") / "store")


@pytest.fixture(scope="session")
def runs(store: Store) -> list[Run]:
    """Two runs of one spec that differ in a parameter, and one whose names and report are hostile
    and which was killed."""
    finished = []
    for scale in (1, 2):
        words = {**STEPS["words"], "params": {"scale": scale}}
        spec = {"name": "tested", "engine": ENGINE, "steps": {**STEPS, "words": words}}
        finished.append(run(spec, store=store.root, registry=REGISTRY))
    report = finished[-1].reports[0]
    report.write_text(HOSTILE_REPORT, encoding="utf-8")
    (report.parent / "more.json").write_text('{"more": 1}')
    record = new_record(HOSTILE, {"name": HOSTILE, "steps": {}}, HOSTILE, 3)
    record.steps = {HOSTILE: finished[0].record.steps["words"]}
    record.problems = [HOSTILE]
    write_record(store, record)
    return finished


@pytest.fixture(scope="session")
def server(store: Store, runs: list[Run]) -> Iterator[str]:
    """The address of a server in another thread."""
    pytest.importorskip("starlette", reason="starlette is not installed")
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    from rmplug._addresses import listen
    from rmplug._view.pages import Pages
    from rmplug._view.server import application, settings

    listening = listen("127.0.0.1", 0)
    served = uvicorn.Server(settings(application(Pages(store, REGISTRY))))
    thread = threading.Thread(target=served.run, args=([listening],))
    thread.start()
    while not served.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    served.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture(scope="session")
def pages_folder(store: Store, runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pages as files."""
    from rmplug._view.pages import Pages
    from rmplug._view.static_pages import write_pages

    folder = tmp_path_factory.mktemp("static") / "pages"
    assert write_pages(Pages(store, REGISTRY), folder) == []
    return folder
