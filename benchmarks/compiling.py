"""``torch.compile`` beside the layers of oneDNN by which rmplug scores on a CPU, and plain PyTorch.

Seconds of processor time per token of batches of 6 conversations of 256 tokens, float32, one
thread, the least of eight; wall seconds of the first batches of four shapes, in which a network
that is compiled for any shape (``dynamic=True``) is compiled once more for some.

Measured twice (AVX-512, no AMX, other work beside it): MiniLM 314 and 336 µs plain, 265 and 274 by
oneDNN, 289 compiled; the first batches took 75, 24, 46 and 1 s, and once 18, 0, 11 and 0 where
compiled code was there from before.

Run: ``python benchmarks/compiling.py [minilm|llama]``
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from scoring_data import minilm_in, model_in
from scoring_ways import least_seconds

from rmplug_hf.loading._fused_layers import fuse_layers

SHAPES = ((6, 256), (3, 300), (1, 77), (12, 100))


def network_of(folder: Path) -> Any:
    loader = transformers.AutoModelForSequenceClassification
    return loader.from_pretrained(folder, dtype=torch.float32).eval()


def batch_of(network: Any, rows: int, tokens: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, network.config.vocab_size - 5, (rows, tokens))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def measured(network: Any) -> float:
    """Return the microseconds of processor time per token."""
    given = batch_of(network, *SHAPES[0])
    return 1e6 * least_seconds(lambda: network(**given), 8) / given["input_ids"].numel()


@torch.inference_mode()
def main(name: str) -> None:
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = minilm_in(Path(place)) if name == "minilm" else model_in(Path(place), name)
        print(f"plain: {measured(network_of(folder)):.0f} µs a token")
        network = network_of(folder)
        fuse_layers(network)
        print(f"oneDNN: {measured(network):.0f} µs a token")
        network = network_of(folder)
    network.compile(dynamic=True)
    for rows, tokens in SHAPES:
        started = time.monotonic()
        network(**batch_of(network, rows, tokens))
        took = time.monotonic() - started
        print(f"compiled: the first {rows} rows of {tokens} tokens took {took:.0f} s")
    print(f"compiled: {measured(network):.0f} µs a token")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "minilm")
