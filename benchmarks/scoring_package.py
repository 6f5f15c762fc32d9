"""The ``rewardbench`` package itself, on a CPU, as a process: ``scoring.py --rewardbench`` starts
it with the Python of the package's environment.

Its command asks for a GPU: what it sends to "cuda" stays on the CPU; nothing else of it is changed.
It is told not to quantize, to compute in float32, and to cut texts that are too long.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rewardbench import rewardbench
from transformers import BatchEncoding


def main(way: str, job: Path) -> None:
    facts = json.loads((job / "job.json").read_text("utf-8"))
    data = job / "conversations.jsonl"
    with data.open("w", encoding="utf-8") as file:
        for line in (job / "pairs.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            asked = {"role": "user", "content": row["prompt"]}
            sides = {
                side: [asked, {"role": "assistant", "content": row[side]}]
                for side in ("chosen", "rejected")
            }
            file.write(json.dumps({"prompt": row["prompt"], **sides}) + "\n")
    to = BatchEncoding.to
    BatchEncoding.to = lambda self, device: to(self, "cpu" if device == "cuda" else device)
    size = way.partition("-")[2]
    sys.argv = [
        "rewardbench", f"--model={facts['model']}", f"--dataset={data}", "--load_json",
        "--not_quantized", "--torch_dtype=float32", "--force_truncation",
        f"--batch_size={size}", f"--max_length={facts['length']}", f"--output_dir={job / way}/",
    ]  # fmt: skip
    rewardbench.main()
    # an absolute name of the model makes it write beside the model
    written = Path(f"{facts['model']}_outputs.jsonl")
    rows = [json.loads(line) for line in written.read_text("utf-8").splitlines()]
    sides = [[row[f"scores_{side}"] for row in rows] for side in ("chosen", "rejected")]
    np.save(job / f"{way}.npy", np.concatenate([np.ravel(side) for side in sides]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
