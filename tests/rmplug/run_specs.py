"""Run specs with the kinds of ``sample_plugin``, and look at what a store holds."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import sample_plugin

from rmplug._run.finished import Run
from rmplug._run.run import choose, forced_steps, open_spec, run
from rmplug._run.run import plan as plan_spec
from rmplug._store.files import write_file
from rmplug._store.store import Store
from rmplug.testing import registry_of

REGISTRY = registry_of(sample_plugin)
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOOP = {
    "kind": "for-each",
    "params": {
        "values": [1, 2, 3, 4],
        "collect": ["mean", "scaled"],
        "steps": {
            "scaled": {"kind": "lengths", "inputs": {"data": "pairs", "scale": "item"}},
            "mean": {"kind": "mean", "inputs": ["scaled", "words"]},
        },
    },
}
"""Items that use what stands outside the loop, and one another."""


def spec_of(steps: Mapping[str, Any], workers: int = 1, shard_rows: int = 10, **more: Any) -> Any:
    params = {"workers": workers, "shard_rows": shard_rows, "least_seconds": 0}
    engine = {"kind": "local", "params": params}
    return {"name": "tested", "engine": engine, "steps": dict(steps), **more}


def go(spec: Mapping[str, Any] | Path, store: Path, **options: Any) -> Run:
    """Run a spec with the kinds of the small plugin."""
    return run(spec, store=store, registry=REGISTRY, **options)


def planned(spec: Mapping[str, Any] | Path, store: Path, force: bool = False) -> dict[str, str]:
    """What a dry run says of each step."""
    checked = open_spec(spec, [], REGISTRY)
    selected, asked = choose(checked)
    forced = forced_steps(checked, asked) if force else ()
    steps = plan_spec(checked, Store(store), REGISTRY, selected, forced)
    return {step.id: f"{step.action}: {step.why}" for step in steps}


def statuses(finished: Run) -> dict[str, str]:
    return {step.id: step.status for step in finished.record.steps.values()}


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def all_files(store: Path) -> dict[str, str]:
    """Every file of every artifact, with a hash of its bytes."""
    root = store / "artifacts"
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def assert_valid(folder: Path) -> None:
    """Every complete artifact is whole, and so is every shard that was committed."""
    store = Store(folder)
    assert {key: store.damage(key) for key in store.names() if store.damage(key)} == {}
    for part in store.partial.glob("*/part-*.parquet"):
        pq.read_table(part)


def environment(folder: Path) -> dict[str, str]:
    """Variables with which a new process finds the small plugin as if it were installed."""
    info = folder / "sample_plugin-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sample-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rmplug]\nsample = sample_plugin\n")
    paths = [str(folder), str(HERE), str(ROOT), str(ROOT / "plugins")]
    path = os.pathsep.join(paths)
    return {**os.environ, "PYTHONPATH": path, "RMPLUG_DISABLE": "text,tabular,bench,report"}


def command(spec: Path, store: Path | str, *more: str) -> list[str]:
    return [sys.executable, "-m", "rmplug", "run", str(spec), "--store", str(store), *more]


def start(spec: Mapping[str, Any], store: Path | str, folder: Path) -> psutil.Popen:
    """Start a run in a process of its own, which finds the same plugins as this one."""
    env, path = environment(folder / "site"), folder / "spec.yaml"
    env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], *filter(None, sys.path)])
    path.write_text(json.dumps(spec))
    return psutil.Popen(
        command(path, store), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def until_lines(log: Path, count: int, process: psutil.Popen) -> None:
    """Wait until a log has some lines while a process goes on."""
    while len(lines(log)) < count:
        try:
            process.wait(timeout=0.01)
        except psutil.TimeoutExpired:
            continue
        raise AssertionError(process.communicate()[0])


def make(store: Store, key: str = "made-1", text: str = "whole") -> Path:
    """Commit an artifact of one file."""
    folder = store.begin(key)
    write_file(folder / "result.txt", text.encode())
    return store.commit(key, {"kind": "made", "type": "Report", "notices": []})
