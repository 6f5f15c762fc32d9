"""Scores of conversations that share prompts, by a causal model: prompts run once, beside the
same plan without that (distinct texts sorted by length), and beside batches of 8 in the order of
the file as the ``rewardbench`` package runs them (all chosen of 8 pairs, then all rejected, padded
on the left; of lists, 8 responses).

Run: ``python benchmarks/shared_prompts.py [PAIRS] [LISTS]``: pairs of hh-rlhf (prompts of several
turns) and responses of best-of-N lists of RMB from ``../shared/data``, a Llama of 4 layers, 256
wide, with random weights and a tokenizer of 8,192 tokens learned from the texts. CPU seconds of
this process on one thread with tokenizing, loading left out; token positions run; and the largest
difference to rows that are run one at a time.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import torch
import transformers

from rmplug import Pairs, Responses
from rmplug.data.rows import one_batch
from rmplug.data.sides import stacked
from rmplug_bench.layouts.published import RMB
from rmplug_hf import SequenceClassifier
from rmplug_hf.loading import _transformer
from rmplug_hf.small_models.small_models import SmallModel
from rmplug_text import PairsFile

HERE = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("RMPLUG_SHARED_DATA", HERE / "../shared/data"))
LENGTH, ROWS_AT_ONCE, CHECKED = 2048, 2048, 64


def model_in(folder: Path, data: Pairs | Responses) -> SequenceClassifier:
    """Make the classifier, with a head that nobody has trained."""
    SmallModel(
        architecture="llama", vocab_size=8192, hidden_size=256, num_hidden_layers=4,
        max_position_embeddings=LENGTH,
    ).train(data, seed=0, directory=folder)  # fmt: skip
    config = transformers.AutoConfig.from_pretrained(folder, num_labels=1)
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return SequenceClassifier(path=folder, device="cpu")


def in_file_order(model: Any, rows: pa.RecordBatch, sides: int) -> np.ndarray:
    """Score 8 rows at a time; of pairs those of one side."""
    tokenizer, network = model.tokenizer, model.network
    tokenizer.padding_side, tokenizer.truncation_side = "left", "left"
    sides_of_talks = (rows["prompt"].to_pylist(), rows["response"].to_pylist())
    talks = [prompt + response for prompt, response in zip(*sides_of_talks, strict=True)]
    count = len(talks) // sides
    found = np.zeros(len(talks))
    for first in range(0, count, 8):
        for side in range(sides):
            part = slice(side * count + first, side * count + min(first + 8, count))
            texts = [tokenizer.apply_chat_template(talk, tokenize=False) for talk in talks[part]]
            batch = tokenizer(
                texts, padding=True, truncation=True, max_length=LENGTH, add_special_tokens=False,
                return_tensors="pt",
            )  # fmt: skip
            with torch.no_grad():
                found[part] = network(**batch).logits[:, 0].numpy()
    return found


def ours(model: Any, rows: pa.RecordBatch, share: bool = True) -> np.ndarray:
    """Score as the query does, with or without the sharing of prompts."""
    kept, _transformer.Sharing = _transformer.Sharing, _transformer.Sharing if share else without
    try:
        return np.concatenate([model.score(part)[:, 0] for part in parts(rows)])
    finally:
        _transformer.Sharing = kept


def without(*_: Any) -> None:
    return None


def parts(rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut rows as the core's groups of shards do, both sides of a pair together."""
    for first in range(0, rows.num_rows, ROWS_AT_ONCE):
        yield rows.slice(first, ROWS_AT_ONCE)


def alone(model: Any, rows: pa.RecordBatch) -> np.ndarray:
    """Score the first rows one at a time."""
    tokens = model.loaded.tokenizing.rows(rows.slice(0, CHECKED))
    with torch.no_grad():
        found = [model.network(input_ids=torch.from_numpy(row.ids)[None]).logits for row in tokens]
    return np.array([float(one) for one in found])


def compare(name: str, data: Pairs | Responses, folder: Path) -> None:
    model: Any = model_in(folder, data).load()
    batch = one_batch(data.table)
    pairs = isinstance(data, Pairs)
    rows = stacked(batch, ["chosen", "rejected"]) if pairs else batch.select(
        ["id", "prompt", "response"]
    )  # fmt: skip
    positions: list[int] = []
    body = model.network.base_model
    body.register_forward_hook(lambda _, __, output: positions.append(output[0][..., 0].numel()))
    ours(model, rows.slice(0, 64))
    exact = alone(model, rows)
    print(f"{name}: {rows.num_rows} responses; score sd {np.std(exact):.3f}")
    base = 0.0
    ways: dict[str, Callable[[], np.ndarray]] = {
        "batches of 8, file order": lambda: in_file_order(model, rows, 1 + pairs),
        "distinct, sorted": lambda: ours(model, rows, share=False),
        "and shared prompts": lambda: ours(model, rows),
    }
    for way, work in ways.items():
        positions.clear()
        began, wall = time.process_time(), time.perf_counter()
        scores = work()
        seconds, wall = time.process_time() - began, time.perf_counter() - wall
        base = base or seconds
        far = np.abs(scores[: len(exact)] - exact).max()
        print(
            f"  {way:26} {seconds:7.1f} CPU s {wall:7.1f} s wall {sum(positions):9,} positions"
            f"  {base / seconds:5.2f} x  largest difference {far:.1e}",
            flush=True,
        )


def main(pairs: int, lists: int) -> None:
    torch.set_num_threads(1)
    hh = PairsFile(path=SHARED / "hh_rlhf/pairs.jsonl.gz").load()
    rmb = RMB(path=SHARED / "rmb/bon.jsonl.gz", rows="best-of-n").load()
    with tempfile.TemporaryDirectory() as folder:
        compare("hh-rlhf pairs", Pairs(hh.table.slice(0, pairs)), Path(folder) / "hh")
        compare("RMB lists", Responses(rmb.table.slice(0, lists)), Path(folder) / "rmb")


if __name__ == "__main__":
    main(*(int(given) for given in (*sys.argv[1:3], *("200", "300")[len(sys.argv) - 1 :])))
