"""The whole recipe `armorm` on real ratings and preferences: how well heads and gate do, how long.

Heads are fitted on MiniLM states of rated responses (`summeval`, `nlg_ratings`, `judge_repeats`:
ten attributes, each labelled in one of four data sets), debiased against length, and gated on two
thirds of the pairs of `hh_rlhf`; the rest measures the reward. Everything is read from a folder of
such data and run offline, on two workers; the store is new, so nothing is reused.

Run: python benchmarks/armorm_real.py [--data ../shared/data] [--store FOLDER] [--workers 2]. The
data is looked for in RMPLUG_SHARED_DATA, too.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ATTRIBUTES = {
    "summeval": ("coherence", "consistency", "fluency", "relevance"),
    "spoken": ("informativeness", "naturalness"),
    "chat": ("naturalness", "coherence", "engagingness"),
    "judge": ("gpt4",),
}
HIGHEST = {"summeval": 5, "spoken": 6, "chat": 3, "judge": 5}


def spec(data: Path, workers: int) -> dict[str, Any]:
    """The recipe as a spec."""
    states = {name: f"{name}-states" for name in ATTRIBUTES}
    steps: dict[str, Any] = {
        "encoder": {"kind": "encoder", "params": {"name": "minilm"}},
        "summeval": _file("responses-file", data / "summeval/ratings.jsonl.gz"),
        "nlg": _file("responses-file", data / "nlg_ratings/ratings.jsonl.gz"),
        "spoken": _part("nlg", 'subset in ["sfres","sfhot","bagel"]'),
        "chat": _part("nlg", 'subset == "topical_chat"'),
        "judge": _file("responses-file", data / "judge_repeats/ratings.jsonl.gz"),
        **{states[name]: _states(name) for name in ATTRIBUTES},
        "heads": {
            "kind": "multi-objective-ridge",
            "inputs": {"states": list(states.values()), "data": list(ATTRIBUTES)},
            "params": {
                "attributes": {
                    f"{source}-{rated}": {
                        "column": f"ratings.{rated}",
                        "of": source,
                        "low": 1,
                        "high": HIGHEST[source],
                    }
                    for source, names in ATTRIBUTES.items()
                    for rated in names
                }
            },
        },
        "pairs": _file("pairs-file", data / "hh_rlhf/pairs.jsonl.gz"),
        "train": {"kind": "split", "inputs": "pairs", "params": {"part": "train", "test": 0.3}},
        "test": {"kind": "split", "inputs": "pairs", "params": {"part": "test", "test": 0.3}},
        "states": _states("train", part="both"),
        "test-states": _states("test", part="both"),
        "response-states": {"kind": "per-response", "inputs": "states"},
        "rewards": {"kind": "predict", "inputs": {"fit": "heads", "features": ["response-states"]}},
        "responses": {"kind": "to-responses", "inputs": "train"},
        "words": {
            "kind": "lexical",
            "inputs": "responses",
            "params": {"measures": ["characters"]},
        },
        "debias": {
            "kind": "debias",
            "inputs": {"rewards": "rewards", "measures": ["words"]},
            "params": {"against": ["words.response.characters"]},
        },
        "gate": {
            "kind": "gate",
            "inputs": {"heads": "heads", "states": "states", "data": "train", "debias": "debias"},
        },
        "model": {
            "kind": "assemble",
            "inputs": {"encoder": "encoder", "heads": "heads", "gate": "gate", "debias": "debias"},
        },
        "reward": {
            "kind": "contributions",
            "inputs": {"model": "model", "data": "test", "states": "test-states"},
        },
        "attributes": {
            "kind": "attributes",
            "inputs": {"data": "test", "contributions": "reward"},
        },
        "accuracy": {"kind": "pairwise", "inputs": {"data": "test", "rewards": ["reward.margin"]}},
        "report": {
            "kind": "html",
            "inputs": ["test", "reward", "heads", "debias", "gate", "attributes", "accuracy"],
        },
    }
    engine = {"kind": "local", "params": {"workers": workers}}
    return {"name": "armorm-real", "seed": 13, "engine": engine, "steps": steps}


def _file(kind: str, path: Path) -> dict[str, Any]:
    return {"kind": kind, "params": {"path": str(path)}}


def _part(of: str, where: str) -> dict[str, Any]:
    return {"kind": "filter", "inputs": of, "params": {"where": where}}


def _states(data: str, **params: str) -> dict[str, Any]:
    return {
        "kind": "hidden-state",
        "inputs": {"model": "encoder", "data": data},
        "params": params,
    }


def told(row: dict[str, Any]) -> str:
    low, high = row.get("low"), row.get("high")
    interval = "" if low is None else f" [{low:.3f}, {high:.3f}]"
    return f"{row['value']:.3f}{interval}, n {row['n']}"


def show(run: Any) -> None:
    """Held-out rank correlations by attribute, debiasing, gate, and accuracy on the test pairs."""
    print("held-out Spearman correlation of heads, and of the length of the response alone:")
    numbers = {(row["subset"], row["metric"]): row for row in run["heads"].numbers}
    for name in dict.fromkeys(subset for subset, _ in numbers):
        head, length = (numbers[name, m] for m in ("spearman", "spearman-of-length"))
        print(f"  {name}: {told(head)}; length {told(length)}")
    print("correlation with length before and after debiasing (held out):")
    for row in run["debias"].numbers:
        if row["metric"].startswith("correlation-"):
            print(f"  {row['subset']} {row['metric'].removeprefix('correlation-')}: {told(row)}")
    print("gate on held-out pairs, and the reward on the test pairs:")
    for row in run["gate"].numbers:
        if row["metric"] == "accuracy" and row["subset"] == "all":
            print(f"  gate: {row.get('model')} {told(row)}")
    for row in run["accuracy"].table.to_pylist():
        if row["metric"] == "accuracy" and row["subset"] == "all":
            print(f"  test: {row['model']} {told(row)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="the recipe armorm on real data")
    beside = Path(__file__).resolve().parents[2] / "shared/data"
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("RMPLUG_SHARED_DATA", str(beside))
    )
    parser.add_argument("--store", help="kept afterwards; without it, a temporary folder")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if not given.data.is_dir():
        sys.exit(f"{given.data} is no folder; say where the data is: --data FOLDER")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import rmplug

    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        run = rmplug.run(spec(given.data.resolve(), given.workers), store=given.store or folder)
        seconds = time.perf_counter() - start
        show(run)
        print(f"from texts to the report: {seconds / 60:.1f} minutes on {given.workers} workers")


if __name__ == "__main__":
    main()
