"""Hidden states of real conversations, in three ways: the query ``hidden-state``, and the bare loop
over batches of one size, in the order of the file and with texts sorted by their length; of the
loops, the best of the sizes 1, 4, 8, 16 and 32 counts.

MiniLM (mean of the last layer) and a Llama of 4 layers, 256 wide (last token of the last layer).
Run: ``python benchmarks/hidden_states.py [ROWS]``; texts as in ``scoring_data.py``. Seconds are of
this process on one thread, loading of the models left out; the same tokens go in everywhere.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import transformers
from scoring_data import LENGTH, model_in, texts

from rmplug import Responses
from rmplug_hf import Encoder, HiddenState

SIZES = (1, 4, 8, 16, 32)
MINILM = {"name": "minilm", "template": "pair", "max_length": 256}
LLAMA = {"template": "{prompt}\n\n{response}", "max_length": LENGTH, "pooling": "last"}


def bare(
    model: Any, tokenizer: Any, asked: Sequence[tuple[str, ...]], size: int, most: int, mean: bool
) -> np.ndarray:
    """What is usually written: tokenize and run so many texts at a time, in the order given."""
    found = []
    for first in range(0, len(asked), size):
        columns = [list(each) for each in zip(*asked[first : first + size], strict=True)]
        batch = tokenizer(
            *columns, padding=True, truncation="longest_first", max_length=most, return_tensors="pt"
        )
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"]
        if mean:
            pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        else:
            pooled = states[torch.arange(len(states)), mask.sum(1) - 1]
        found.append(pooled.numpy())
    return np.concatenate(found)


def by_length(asked: Sequence[tuple[str, ...]], work: Callable[[Any], np.ndarray]) -> np.ndarray:
    """Run ``work`` on texts sorted by their characters, and put the results back in order."""
    order = np.argsort([-sum(map(len, each)) for each in asked], kind="stable")
    result = work([asked[place] for place in order])
    found = np.empty_like(result)
    found[order] = result
    return found


def compare(name: str, params: dict[str, Any], responses: Responses) -> None:
    """Print the seconds of each way, their ratio, and how far the states are apart."""
    loaded = Encoder(**params, truncate="right", device="cpu").load()
    model, tokenizer = loaded.loaded.model, loaded.loaded.tokenizer
    tokenizer.padding_side = "right"
    asked = as_asked(responses, pair=name == "minilm")
    most, mean = params["max_length"], name == "minilm"

    def ours() -> np.ndarray:
        column = HiddenState().query(loaded, responses).table["response"].combine_chunks()
        return np.asarray(column.flatten()).reshape(len(column), -1)

    def loop(texts: Any, size: int) -> np.ndarray:
        return bare(model, tokenizer, texts, size, most, mean)

    ours()  # what is done once: the trial whether the model is causal, memory
    took, states = timed(ours)
    print(f"{name}: hidden-state {took:.1f} s, {len(responses) / took:.1f} rows/s")
    for order in ("as they come", "by length"):
        seconds = {}
        for size in SIZES:
            work = (
                (lambda s=size: loop(asked, s))
                if order == "as they come"
                else (lambda s=size: by_length(asked, lambda texts: loop(texts, s)))
            )
            seconds[size], other = timed(work)
        best = min(seconds, key=lambda size: seconds[size])
        every = ", ".join(f"{size}: {value:.1f} s" for size, value in seconds.items())
        gap = np.abs(states - other).max()
        print(
            f"{name}: bare loop, {order}: best batch {best}, {seconds[best] / took:.2f} times the "
            f"seconds of hidden-state ({every}); largest difference {gap:.1e}"
        )


def as_asked(responses: Responses, pair: bool) -> list[tuple[str, ...]]:
    """Return prompt and response of each row as the template of the step writes them."""
    rows = []
    for row in responses.table.to_pylist():
        prompt = "\n\n".join(turn["content"] for turn in row["prompt"])
        response = row["response"][0]["content"]
        rows.append((prompt, response) if pair else (f"{prompt}\n\n{response}",))
    return rows


def timed(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Return the seconds of processor time of this process, and the result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def main(rows: int) -> None:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    made = texts(rows)
    responses = Responses({name: [row[name] for row in made] for name in made[0]})
    compare("minilm", MINILM, responses)
    with tempfile.TemporaryDirectory() as folder:
        compare("llama", {"path": model_in(Path(folder), "llama"), **LLAMA}, responses)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
