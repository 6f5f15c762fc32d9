"""What kept scores save, and what they cost: forward work of a grown data set, the quickstart with
and without them, two runs at once, and a million keys.

Grown: states of `minilm` for pairs, then for 10 % more pairs in a second run on the same store;
tokens that went through the model are counted. Quickstart: `examples/quickstart.yaml` in a process
of its own with `keep_scores` on and off, CPU seconds of it and its workers (wall beside it), the
largest difference of the rewards. Two at once: two runs ask one store about the same pairs, in
processes of their own; then a third asks. Keys: values of a million texts are written, opened in a
fresh process and looked up; CPU seconds and the memory that stays (RssAnon).

Measured (Python 3.11, 2 cores, busy): 400 pairs of hh-rlhf and then 440: 800 of 880 texts known,
125,435 and 12,793 tokens (10.2 %; the added ones 8.2 %, the rest is the self-check of the second
run), 39.4 and 5.2 CPU s, 5.8e-7 apart. The quickstart's heads take 688 of 688 states from the
store. A million keys: opened in 0.6 CPU s, 10,000 looked up in 0.03, 61 MB stay in memory.

Run: ``python benchmarks/kept.py [--only grown quickstart two keys] [--file FILE] [--pairs 200]``
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

import rmplug
from rmplug._store.kept_files import Facts, rows_table, write_values
from rmplug._store.kept_index import KeptIndex
from rmplug_hf.loading import _transformer

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def spec_of(file: Path, pairs: int, step: str = "states") -> dict[str, Any]:
    """The spec that asks `minilm` for states of the first pairs of a file."""
    return {
        "name": "kept",
        "engine": {"kind": "local", "params": {"workers": 1}},
        "steps": {
            "pairs": {"kind": "pairs-file", "params": {"path": str(file), "limit": pairs}},
            "encoder": {"kind": "encoder", "params": {"name": "minilm", "device": "cpu"}},
            step: {"kind": "hidden-state", "inputs": {"model": "encoder", "data": "pairs"}},
        },
    }


def grown(file: Path, pairs: int, folder: Path) -> None:
    """Count the tokens of a first run, and of a second one with 10 % more pairs."""
    lines = file.read_text(encoding="utf-8").splitlines()
    mixed = folder / "mixed.jsonl"  # texts of a file may get longer towards its end
    order = np.random.default_rng(0).permutation(len(lines))
    mixed.write_text("\n".join(lines[at] for at in order) + "\n", encoding="utf-8")
    counted: list[int] = []
    plain = _transformer.run_batches

    def counting(rows: Any, *arguments: Any, **named: Any) -> Any:
        counted[-1] += sum(map(len, {row.key: row for row in rows}.values()))
        return plain(rows, *arguments, **named)

    _transformer.run_batches = counting
    told = []
    for count in (pairs, pairs + pairs // 10, pairs + pairs // 10):
        counted.append(0)
        store = folder / ("grown" if len(counted) < 3 else "anew")
        started = time.process_time()
        finished = rmplug.run(spec_of(mixed, count), store=store, quiet=True)
        step = finished.record.steps["states"]
        asked = step.texts_known + step.texts_computed
        told.append(finished["states"].table)
        print(f"grown: {count} pairs: {counted[-1]:,} tokens through the model, "
              f"{step.texts_known:,} of {asked:,} texts known, "
              f"{time.process_time() - started:.1f} CPU s")  # fmt: skip
    _transformer.run_batches = plain
    far = max(np.abs(_matrix(told[1], side) - _matrix(told[2], side)).max()
              for side in ("chosen", "rejected"))  # fmt: skip
    share, added = counted[1] / counted[0], counted[2] / counted[0] - 1
    print(f"grown: the second run did {share:.1%} of the forward work of the first (at most 12 % "
          f"wanted); the added texts are {added:.1%}; largest difference to a run on an empty "
          f"store {far:.1e}")  # fmt: skip


def _matrix(table: Any, side: str) -> Any:
    return np.array(table[side].to_pylist())


def measured(arguments: list[str]) -> tuple[float, float]:
    """Run a command to its end: CPU seconds of it and its children, and wall seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - started


def quickstart(folder: Path) -> None:
    """Time the quickstart with and without kept scores, one after the other."""
    engine = "engine={kind: local, params: {keep_scores: %s}}"
    rewards, seconds = [], []
    for keeps in ("true", "false"):
        store = folder / f"quickstart-{keeps}"
        command = [sys.executable, "-m", "rmplug", "run", str(EXAMPLES / "quickstart.yaml")]
        cpu, wall = measured([*command, "--store", str(store), "--set", engine % keeps])
        seconds.append(cpu)
        run = rmplug.open_run("last", store=store)
        rewards.append(run["folds.minilm"].to_pandas().set_index("id")["margin"])
        known = [(s.id, s.texts_known, s.texts_computed) for s in run.record.steps.values()]
        texts = ", ".join(f"{i}: {k} of {k + c}" for i, k, c in known if k + c)
        print(f"quickstart: keep_scores {keeps}: {cpu:.1f} CPU s, {wall:.1f} s wall; {texts}")
    far = (rewards[0] - rewards[1].loc[rewards[0].index]).abs().max()
    print(f"quickstart: {seconds[0] / seconds[1]:.2f} of the CPU time without; largest difference "
          f"of margins {far:.1e}")  # fmt: skip


def two_at_once(file: Path, pairs: int, folder: Path) -> None:
    """Let two runs ask one store about the same texts, then a third one."""
    code = (
        "import rmplug, sys; sys.path.insert(0, {here!r}); from kept import spec_of, Path; "
        "rmplug.run(spec_of(Path({file!r}), {pairs}, {step!r}), store={store!r}, quiet=True)"
    )
    here, store = str(Path(__file__).parent), str(folder / "two")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code.format(
                here=here, file=str(file), pairs=pairs + number, step=f"states-{number}",
                store=store)]
        )
        for number in (1, 2)
    ]  # fmt: skip
    codes = [process.wait() for process in started]
    step = rmplug.run(spec_of(file, pairs + 3), store=store, quiet=True).record.steps["states"]
    asked = step.texts_known + step.texts_computed
    print(f"two at once: exit codes {codes}; a third run knows {step.texts_known} of {asked} texts")


def keys(count: int, folder: Path) -> None:
    """Write the values of many keys, and open them in a fresh process."""
    chance = np.random.default_rng(0)
    every = chance.integers(2**63, size=(count, 2)).astype(np.uint64)
    facts = Facts(("reward-1",), (), "float64")
    place = folder / "keys"
    place.mkdir()
    values = np.arange(count, dtype=np.float64)
    parts = (
        rows_table(facts, every[start : start + 2048], np.zeros(len(every[start : start + 2048])),
                   values[start : start + 2048])
        for start in range(0, count, 2048)
    )  # fmt: skip
    started = time.process_time()
    write_values(place / "reward-1.0.parquet", facts, parts)
    size = sum(file.stat().st_size for file in place.iterdir())
    print(
        f"keys: {count:,} written in {time.process_time() - started:.2f} CPU s, {size / 1e6:.0f} MB"
    )
    asked = chance.choice(count, 10_000, replace=False)
    np.savez(folder / "asked.npz", keys=every[asked], values=values[asked])
    command = [sys.executable, __file__, "--look-up", str(folder)]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def look_up(folder: Path) -> None:
    """Open the files and look keys up; print what it took."""
    import pyarrow.parquet  # noqa: F401  # not part of what is measured

    asked = np.load(folder / "asked.npz")
    wanted, expected = asked["keys"], asked["values"]
    memory, started = _memory(), time.process_time()
    index = KeptIndex(folder / "keys", ["reward-1"])
    opened = time.process_time()
    known, values = index.find(wanted)
    found = time.process_time()
    assert known.all() and np.array_equal(values, expected)
    print(f"keys: opened in {opened - started:.2f} CPU s, 10,000 looked up in "
          f"{found - opened:.3f}, {_memory() - memory:.0f} MB stay in memory")  # fmt: skip


def _memory() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=["grown", "quickstart", "two", "keys"])
    parser.add_argument("--file", type=Path, default=EXAMPLES / "data" / "preferences.jsonl")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--look-up", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.look_up is not None:
        look_up(given.look_up)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "grown" in given.only:
            grown(given.file, given.pairs, folder)
        if "quickstart" in given.only:
            quickstart(folder)
        if "two" in given.only:
            two_at_once(given.file, given.pairs, folder)
        if "keys" in given.only:
            keys(given.keys, folder)


if __name__ == "__main__":
    main()
