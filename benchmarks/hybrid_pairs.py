"""Hybrid routing on real pairs: human labels, and those of a model that only knows helpfulness.

The AI labels are the preferences of an `ngram-head` trained on helpful pairs of the same data that
stand in no other part: worse than chance, maybe, where harmlessness is asked for. Proxies are
compared on one part of the pairs, models trained on routes on another; what is right is what the
human says.

Run: python benchmarks/hybrid_pairs.py [PAIRS.jsonl.gz [CANDIDATES [STORE]]]. By default rmb in
../shared/data beside the checkout, 60 candidates, and a store that is thrown away; hh_rlhf works as
well.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

import rmplug
from rmplug import Pairs
from rmplug_tabular import NgramHead

DEFAULT = Path(__file__).resolve().parents[1] / "../shared/data/rmb/pairs.jsonl.gz"
HEAD = {"characters": None, "words": [1, 1], "dimensions": 2**14, "l2": [0.1], "folds": 2}
PARTS = {"human": 800, "compare": 500, "final": 700}
JUDGE = 1000
SEEDS = [1, 2, 3]
BUDGETS = [0.25, 0.5, 0.75]
RANKED = ["*words", "*questions", "*refusals", "*first_person"]


def read(file: Path) -> list[dict[str, Any]]:
    """Pairs whose responses differ, in random order by prompt, which no two parts share."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if row["chosen"].strip() != row["rejected"].strip()]
    for row in rows:
        row["group"] = json.dumps(row["prompt"])
        row["subset"] = row["subset"].partition("/")[0]
    groups = sorted({row["group"] for row in rows})
    order = dict(zip(groups, np.random.default_rng(0).permutation(len(groups)), strict=True))
    return sorted(rows, key=lambda row: (order[row["group"]], row["id"]))


def parts_of(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found, start = {}, 0
    for name, size in PARTS.items():
        found[name] = rows[start : start + size]
        start += size
    helpful = [row for row in rows[start:] if row["subset"].casefold().startswith("helpful")]
    found["judge"] = helpful[:JUDGE]
    return found


def as_pairs(rows: list[dict[str, Any]]) -> Pairs:
    columns = {name: [row[name] for row in rows] for name in ("id", "prompt", "chosen", "rejected")}
    return Pairs({**columns, "group": [row["group"] for row in rows]})


def ai_labels(judge: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the response chosen that the judge scores higher."""
    with TemporaryDirectory() as folder:
        step = NgramHead(words=(1, 1), characters=None, l2=(0.3, 0.1))
        model = step.train(as_pairs(judge), seed=0, directory=Path(folder)).open()
        table = as_pairs(rows).table
        sides = [
            model.score(
                pa.record_batch(
                    {"prompt": table["prompt"].combine_chunks(), "response": text.combine_chunks()}
                )
            )
            for text in (table["chosen"], table["rejected"])
        ]
    turned = sides[0] < sides[1]
    return [
        {**row, "chosen": row["rejected"], "rejected": row["chosen"]} if turn else row
        for row, turn in zip(rows, turned, strict=True)
    ]


def trained(data: str, test: str) -> dict[str, Any]:
    """Steps that train a proxy and measure it."""
    return {
        "head": {"kind": "ngram-head", "inputs": data, "params": HEAD},
        "reward": {"kind": "reward", "inputs": {"model": "head", "data": test}},
        "accuracy": {
            "kind": "pairwise",
            "inputs": {"data": test, "rewards": ["reward"]},
            "params": {"resamples": 100, "baselines": []},
        },
    }


def spec(folder: Path, candidates: int, subsets: list[str]) -> dict[str, Any]:
    loaded = {
        name: {"kind": "pairs-file", "params": {"path": str(folder / f"{name}.jsonl")}}
        for name in ("human", "ai", "compare", "final")
    }
    both = {"human": "human", "ai": "ai", "chosen": "item"}
    measures = ["words", "questions", "refusals", "first_person"]
    subset = {"subset": {"values": subsets}}
    mixed = {"kind": "swap", "inputs": {**both, "membership": "membership"}}
    part = {"kind": "random", "inputs": {"data": "mixed", "seed": "item"}}
    repeats = {"part": {**part, "params": {"fraction": 0.9}}, **trained("part", "final")}
    return {
        "name": "hybrid-pairs",
        "seed": 0,
        "engine": {"kind": "local", "params": {"workers": 2}},
        "steps": {
            **loaded,
            "words": {"kind": "lexical", "inputs": "ai", "params": {"measures": measures}},
            "overlap": {
                "kind": "rouge",
                "inputs": "ai",
                "params": {"measures": ["rouge1"], "between": ["responses"]},
            },
            "about": {"kind": "tags", "inputs": "ai", "params": {"dimensions": subset}},
            "membership": {
                "kind": "membership",
                "inputs": ["words", "overlap", "about"],
                "params": {"ranks": RANKED},
            },
            "candidates": {
                "kind": "candidates",
                "inputs": {"membership": "membership", "human": "human", "ai": "ai"},
                "params": {"n": candidates},
            },
            "proxies": {
                "kind": "for-each",
                "inputs": {"items": "candidates"},
                "params": {
                    "collect": ["accuracy"],
                    "steps": {"mixed": mixed, **trained("mixed", "compare")},
                },
            },
            "performance": {
                "kind": "performance-model",
                "inputs": {"candidates": "candidates", "results": "proxies"},
            },
            "routes": {
                "kind": "route",
                "inputs": {
                    "membership": "membership",
                    "model": "performance",
                    "human": "human",
                    "ai": "ai",
                },
                "params": {"budgets": BUDGETS, "draws": 2},
            },
            "trained": {
                "kind": "for-each",
                "inputs": {"items": "routes"},
                "params": {
                    "collect": ["repeats"],
                    "steps": {
                        "mixed": {"kind": "swap", "inputs": both},
                        "repeats": {
                            "kind": "for-each",
                            "params": {
                                "values": SEEDS,
                                "collect": ["accuracy"],
                                "steps": repeats,
                            },
                        },
                    },
                },
            },
            "curve": {
                "kind": "budget-curve",
                "inputs": {"results": "trained", "routes": "routes"},
            },
        },
    }


def tell(done: rmplug.Run) -> None:
    """What was measured."""
    for number in done["performance"].numbers:
        if number["low"] is not None:
            print(
                f"{number.get('model', '')}: {number['metric']} {number['subset']} "
                f"{number['value']:.4f} ({number['low']:.4f} to {number['high']:.4f})"
            )
    table = done["performance"].tables["coefficients"].to_pylist()
    for row in sorted(table, key=lambda row: -row["coefficient"]):
        print(
            f"  {1000 * row['coefficient']:+.4f} ({1000 * row['low']:+.4f} to "
            f"{1000 * row['high']:+.4f}) per 1000 labels: {row['feature']}"
        )
    for row in done["curve"].table.to_pylist():
        if row["metric"] == "difference":
            print(row["sentence"], f"p_holm {row['p_holm']:.3g}")
        else:
            print(
                f"{row['model']} at {row['at']:.2f}: {row['value']:.4f} "
                f"({row['low']:.4f} to {row['high']:.4f})"
            )


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    candidates = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    if not file.exists():
        sys.exit(f"{file} is not there; give a file of pairs (JSON Lines, gzip)")
    parts = parts_of(read(file))
    parts["ai"] = ai_labels(parts["judge"], parts["human"])
    subsets = sorted({row["subset"] for row in parts["human"]})
    for subset in subsets:
        own = [
            ai["chosen"] == row["chosen"]
            for ai, row in zip(parts["ai"], parts["human"], strict=True)
            if row["subset"] == subset
        ]
        print(f"{subset}: the AI agrees with the human in {np.mean(own):.3f} of {len(own)} pairs")
    with TemporaryDirectory() as made:
        folder = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(made)
        folder.mkdir(exist_ok=True)
        for name in ("human", "ai", "compare", "final"):
            lines = [
                json.dumps({k: v for k, v in row.items() if k not in ("meta", "group")})
                for row in parts[name]
            ]
            (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        start = time.perf_counter()
        tell(rmplug.run(spec(folder, candidates, subsets), store=folder / "store"))
        print(f"{time.perf_counter() - start:.0f} s with two workers")


if __name__ == "__main__":
    main()
