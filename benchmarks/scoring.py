"""Scores of real conversations by a small transformer, in two ways: rmplug, and the plain pattern
of batches of 8 in the order of the file, each padded to its longest.

Run: ``python benchmarks/scoring.py [ROWS]``; texts are ``../shared/data/hh_rlhf`` where it is, else
the examples of this project repeated.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import transformers

from rmplug import Responses
from rmplug.data.rows import one_batch
from rmplug.testing.tiny_models import tiny_tokenizer
from rmplug_hf import SequenceClassifier

HERE = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("RMPLUG_SHARED_DATA", HERE / "../shared/data"))
LENGTH = 1024


def texts(rows: int) -> list[dict[str, Any]]:
    place = SHARED / "hh_rlhf/pairs.jsonl.gz"
    if place.is_file():
        with gzip.open(place, "rt", encoding="utf-8") as file:
            found = [json.loads(line) for line, _ in zip(file, range(rows // 2), strict=False)]
    else:
        lines = (HERE / "examples/data/preferences.jsonl").read_text("utf-8").splitlines()
        found = [json.loads(lines[n % len(lines)]) for n in range(rows // 2)]
    sides = [(pair, side) for pair in found for side in ("chosen", "rejected")]
    return [
        {"id": str(n), "prompt": pair["prompt"], "response": pair[side]}
        for n, (pair, side) in enumerate(sides)
    ]


def model_in(folder: Path, architecture: str) -> Path:
    """A random classifier of 4 layers, 256 wide."""
    place = folder / architecture
    tokenizer = tiny_tokenizer(architecture, chat=True)  # type: ignore[arg-type]
    sizes = {
        "hidden_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "max_position_embeddings": LENGTH,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": 1,
    }
    config = transformers.AutoConfig.for_model(architecture, **sizes)
    torch.manual_seed(0)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(place)
    tokenizer.model_max_length = LENGTH
    tokenizer.save_pretrained(place)
    return place


def plain(folder: Path, responses: Responses, size: int = 8) -> np.ndarray:
    """What is usually written: tokenize and run 8 conversations at a time, in order."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = responses.table.to_pylist()
    found = []
    for first in range(0, len(rows), size):
        chats = [row["prompt"] + row["response"] for row in rows[first : first + size]]
        written = tokenizer.apply_chat_template(chats, tokenize=False)
        asked = tokenizer(
            written,
            add_special_tokens=False,
            padding=True,
            truncation=True,
            max_length=LENGTH,
            return_tensors="pt",
        )
        with torch.inference_mode():
            found.append(model(**asked).logits.numpy())
    return np.concatenate(found)


def ours(folder: Path, responses: Responses, batch_tokens: int) -> np.ndarray:
    step = SequenceClassifier(path=folder, batch_tokens=batch_tokens, truncate="right")
    return step.load().score(one_batch(responses.table))


def main(rows: int) -> None:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    responses = Responses(_columns(texts(rows)))
    with tempfile.TemporaryDirectory() as name:
        for architecture in ("bert", "llama"):
            folder = model_in(Path(name), architecture)
            ours(folder, Responses(responses.table.slice(0, 16)), 4096)
            seconds, expected = _timed(lambda folder=folder: plain(folder, responses))
            print(f"{architecture}: plain pattern {len(responses) / seconds:.1f} rows/s")
            for budget in (1024, 4096, 16384):
                took, found = _timed(lambda f=folder, b=budget: ours(f, responses, b))
                gap = np.abs(found - expected).max()
                print(
                    f"{architecture}: batch_tokens {budget:>5} {len(responses) / took:.1f} rows/s, "
                    f"{seconds / took:.2f} times as fast, largest difference {gap:.1e}"
                )


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in ("id", "prompt", "response")}


def _timed(work: Any) -> tuple[float, Any]:
    """Seconds of processor time (of one thread: others on the machine do not count)."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
