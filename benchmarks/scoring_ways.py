"""One way to score the texts of a job, as a process of its own: ``scoring.py`` starts it.

Run: ``python benchmarks/scoring_ways.py WAY JOB``; JOB is a folder with ``job.json`` (model and
length) and ``pairs.jsonl``. Scores of both sides go to ``WAY.npy`` there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

TEMPLATE = "{prompt}\n\n{response}"
KEYS_AND_VALUES = (".key", ".value", ".k_proj", ".v_proj")


def read(job: Path) -> tuple[str, int, list[dict[str, Any]]]:
    facts = json.loads((job / "job.json").read_text("utf-8"))
    lines = (job / "pairs.jsonl").read_text("utf-8").splitlines()
    return facts["model"], facts["length"], [json.loads(line) for line in lines]


def asked(rows: list[dict[str, Any]]) -> list[str]:
    """Return the texts of all chosen, then of all rejected responses."""
    return [f"{row['prompt']}\n\n{row[side]}" for side in ("chosen", "rejected") for row in rows]


def opened(folder: str) -> tuple[Any, Any]:
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32
    )
    return model.eval(), transformers.AutoTokenizer.from_pretrained(folder)


def batches(job: Path, size: int, by_length: bool, padding: str = "right") -> Any:
    """Score so many texts at a time, in the order of the file or by their tokens."""
    import numpy as np
    import torch

    folder, length, rows = read(job)
    model, tokenizer = opened(folder)
    tokenizer.padding_side = padding
    every = asked(rows)
    found = np.empty(len(every))
    order = np.arange(len(every))
    if by_length:
        counts = [len(ids) for ids in tokenizer(every)["input_ids"]]
        order = np.argsort(counts, kind="stable")
    with torch.inference_mode():
        for first in range(0, len(order), size):
            part = order[first : first + size]
            given = tokenizer(
                [every[n] for n in part],
                padding=True, truncation=True, max_length=length, return_tensors="pt",
            )  # fmt: skip
            found[part] = model(**given).logits[:, 0].numpy()
    return found


def python(job: Path) -> Any:
    """Score with ``rmplug.load``."""
    import rmplug

    folder, length, rows = read(job)
    scorer = rmplug.load(
        folder, kind="sequence-classifier", template=TEMPLATE, max_length=length, device="cpu"
    )
    prompts = [row["prompt"] for row in rows] * 2
    responses = [row[side] for side in ("chosen", "rejected") for row in rows]
    return scorer.matrix(prompts, responses)[:, 0]


def run(job: Path, number_format: str) -> Any:
    """Score with ``rmplug run`` of a small spec, into a new store: in float32 where no format is
    given, in bfloat16, or in both by ``exact-decisions``."""
    import numpy as np
    import pyarrow.parquet as pq

    folder, length, _ = read(job)
    params = {"path": folder, "template": TEMPLATE, "max_length": length, "device": "cpu"}
    fast = {"kind": "sequence-classifier", "params": {**params, "dtype": "bfloat16"}}
    steps: dict[str, Any] = {
        "pairs": {"kind": "pairs-file", "params": {"path": str(job / "pairs.jsonl")}},
        "exact": {"kind": "sequence-classifier", "params": params},
        "reward": {"kind": "reward", "inputs": {"model": "exact", "data": "pairs"}},
    }
    if number_format:
        steps |= {"fast": fast}
        steps["reward"]["inputs"]["model"] = "fast"
    if number_format == "decisions":
        both = {"kind": "exact-decisions", "inputs": {"exact": "exact", "fast": "fast"}}
        steps |= {"both": both}
        steps["reward"]["inputs"]["model"] = "both"
    spec, store = job / f"spec{number_format}.yaml", job / f"store{number_format}"
    engine = {"kind": "local", "params": {"workers": 1}}
    spec.write_text(json.dumps({"name": "scoring", "engine": engine, "steps": steps}))
    command = [sys.executable, "-m", "rmplug", "run", str(spec), "--store", str(store)]
    subprocess.run(command, check=True, capture_output=True)
    [made] = (store / "artifacts").glob("reward-*")
    table = pq.read_table(sorted(made.glob("part-*.parquet")))
    return np.concatenate([table["chosen"].to_numpy(), table["rejected"].to_numpy()])


def token_cost(job: Path) -> Any:
    """Measure what the texts must cost on one thread: tokens of the distinct texts, and seconds of
    processor time per token in batches of equal texts of the mean length, the best of four sizes
    (what a plan without padding and imports could reach); then the tokens that no two texts share,
    where a model reads from left to right, and the seconds per token of the matrix products alone
    that a score needs, at the best rate that this machine has for any."""
    import numpy as np
    import torch
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    # the counter does not know attention on a CPU
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    known = {attention: lambda q, k, v, *_, **more: sdpa_flop_count(q, k, v)}
    folder, length, rows = read(job)
    model, tokenizer = opened(folder)
    torch.set_num_threads(1)
    texts = tokenizer(sorted({*asked(rows)}), truncation=True, max_length=length)["input_ids"]
    lengths = [len(ids) for ids in texts]
    mean = round(sum(n * n for n in lengths) / sum(lengths))
    needed = sum(lengths) if hasattr(model, "bert") else branches(texts)
    square = torch.ones(1024, 1024)
    best = float("inf")
    with torch.inference_mode():
        for size in (max(1, budget // mean) for budget in (512, 1024, 2048, 4096)):
            ids = torch.randint(5, model.config.vocab_size - 5, (size, mean))
            given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            best = min(best, least_seconds(lambda given=given: model(**given)) / ids.numel())
        with FlopCounterMode(display=False, custom_mapping=known) as counter:
            model(**given)
        rate = 2 * 1024**3 / least_seconds(lambda: product(square))
    floor = needed_flops(counter.get_flop_counts()) / ids.numel() / rate
    return np.array([sum(lengths), best, needed, floor, rate])


def needed_flops(counts: dict[str, dict[Any, int]]) -> int:
    """Return the operations of a network but those of its last layer, of which the tokens that the
    head does not read need keys and values alone."""
    total = {name: sum(operations.values()) for name, operations in counts.items()}
    layers = [name for name in total if name.rpartition(".")[2].isdigit()]
    last = max(layers, key=lambda name: int(name.rpartition(".")[2]))
    kept = [name for name in total if name.startswith(last) and name.endswith(KEYS_AND_VALUES)]
    return total["Global"] - total[last] + sum(total[name] for name in kept)


def product(square: Any) -> Any:
    """Multiply two matrices as oneDNN does, which is faster here than PyTorch's own."""
    import torch

    return torch.ops.mkldnn._linear_pointwise(square, square, None, "none", [], "")


def least_seconds(call: Any, times: int = 4) -> float:
    """Return the least seconds of processor time of a call, of those after the first."""
    import time

    call()
    taken = []
    for _ in range(times):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return min(taken)


def branches(texts: list[list[int]]) -> int:
    """Count the tokens of texts of which each shared beginning counts once."""
    ordered = sorted(texts)
    shared = 0
    for one, other in pairwise(ordered):
        same = (a == b for a, b in zip(one, other, strict=False))
        shared += next((n for n, equal in enumerate(same) if not equal), min(len(one), len(other)))
    return sum(map(len, texts)) - shared


def main(way: str, job: Path) -> None:
    import numpy as np

    name, _, size = way.partition("-")
    results = {
        # what the rewardbench package does: pads on the left, in the order of the file
        "package": lambda: batches(job, int(size), by_length=False, padding="left"),
        "bare": lambda: batches(job, int(size), by_length=True),
        "python": lambda: python(job),
        "run": lambda: run(job, size),
        "reference": lambda: batches(job, 1, by_length=False),
        "cost": lambda: token_cost(job),
    }
    np.save(job / f"{way}.npy", results[name]())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
