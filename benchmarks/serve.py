"""A load test of ``rmplug serve``: 64 clients at once, each answer compared with the score of the
same model in this process, and the rows per second of both.

Each client sends one conversation at a time and the next when its answer is there. Offline is the
scorer over the same rows in shards of 256, as a query of a run asks it. Ratios are served over
offline: of rows per second of processor time (the server's whole process, HTTP included, against
the scorer), and of rows per second on the clock, which other work on the machine disturbs and which
has the client on the same machine; both are medians over the turns. Aim: at least 0.9, for models
of a size that is used; of the tiny one, which takes some 2 ms a row, HTTP is a large part.

Run: ``python benchmarks/serve.py [ROWS TURNS]`` (512 5); texts are those of hh-rlhf, in
``../shared/data/hh_rlhf`` or below ``RMPLUG_SHARED_DATA``, where they are, else the examples of
this project repeated.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import httpx
import numpy as np
import psutil
from scoring_data import model_in, texts

import rmplug
from rmplug.models.scorer import Scorer
from rmplug.testing.tiny_models import tiny_model

HERE = Path(__file__).resolve().parent.parent
CLIENTS, SHARD = 64, 256
Row = dict[str, Any]


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of a server of a model, and its process."""
    command = [sys.executable, "-m", "rmplug", "serve", str(folder), "--port", "0", "--name", "m"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            found = re.search(r"http://\S+", said)
            assert found is not None, said
            yield found[0], psutil.Process(server.pid)
        finally:
            server.send_signal(signal.SIGTERM)


def offline(scorer: Scorer, rows: Sequence[Row]) -> np.ndarray:
    """The scores of all rows, a shard at a time."""
    shards = [rows[first : first + SHARD] for first in range(0, len(rows), SHARD)]
    return np.concatenate(
        [scorer.matrix([r["prompt"] for r in s], [r["text"] for r in s])[:, 0] for s in shards]
    )


async def ask(address: str, rows: Sequence[Row], clients: int) -> tuple[np.ndarray, np.ndarray]:
    """The score of each row, and the seconds until its answer, from so many clients at once. They
    write HTTP themselves: a client's library costs more than a small model."""
    scores, seconds = np.full(len(rows), np.nan), np.zeros(len(rows))
    waiting = iter(range(len(rows)))
    place = urlsplit(address)

    async def client() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for row in waiting:
            answer = {"role": "assistant", "content": rows[row]["text"]}
            body = json.dumps({"model": "m", "messages": [*rows[row]["prompt"], answer]}).encode()
            head = f"POST /classify HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(body)}"
            started = time.monotonic()
            writer.write(f"{head}\r\n\r\n".encode() + body)
            said = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", said)
            assert said.startswith(b"HTTP/1.1 200 ") and length is not None, said
            content = await reader.readexactly(int(length[1]))
            seconds[row] = time.monotonic() - started
            [found] = json.loads(content)["data"]
            scores[row] = found["probs"][0]
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return scores, seconds


def measure(name: str, folder: Path, rows: Sequence[Row], turns: int) -> None:
    """Print how a model is served beside how it scores offline, in turns: the speed of the machine
    changes."""
    scorer = rmplug.load(folder)
    offline(scorer, rows[:SHARD])
    cpu, clock = [], []
    with served(folder) as (address, process):
        asyncio.run(ask(address, rows[:CLIENTS], CLIENTS))
        for turn in range(turns):
            started, used = time.monotonic(), time.process_time()
            expected = offline(scorer, rows)
            cpu.append([time.process_time() - used])
            clock.append([time.monotonic() - started])
            counts, started, used = _counted(address), time.monotonic(), _cpu(process)
            found, seconds = asyncio.run(ask(address, rows, CLIENTS))
            clock[-1].append(time.monotonic() - started)
            cpu[-1].append(_cpu(process) - used)
            batches, batched, model = np.subtract(_counted(address), counts)
            far = np.abs(found - expected)
            wrong = int((far > 1e-5 * max(1.0, np.abs(expected).max())).sum())
            print(
                f"{name}, turn {turn + 1}: lost {int(np.isnan(found).sum())}, other than offline "
                f"{wrong}, largest difference {far.max():.1e} (spread {expected.std():.2f}); "
                f"{batched / batches:.1f} rows at once; the model worked "
                f"{model / clock[-1][1]:.0%} of the time; seconds to an answer: p50 "
                f"{np.median(seconds):.2f}, p95 {np.percentile(seconds, 95):.2f}"
            )
    print(f"{name}: {len(rows)} rows, {CLIENTS} clients, {turns} turns")
    for what, used in (("CPU second", cpu), ("second on the clock", clock)):
        rates, ratios = len(rows) / np.median(used, axis=0), np.divide(*np.transpose(used))
        print(
            f"  rows per {what}: offline {rates[0]:.1f}, served {rates[1]:.1f}; ratio "
            f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
        )


def _counted(address: str) -> tuple[float, float, float]:
    """Batches, rows and seconds of the model, from the server's own metrics."""
    text = httpx.get(f"{address}/metrics").text
    names = ("rmplug_batch_rows_count", "rmplug_batch_rows_sum", "rmplug_model_seconds_total")
    found = [re.search(rf"^{name} (\S+)$", text, re.MULTILINE) for name in names]
    first, second, third = (float(one[1]) for one in found if one is not None)
    return first, second, third


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main(count: int, turns: int) -> None:
    rows = [
        {"prompt": row["prompt"], "text": row["response"][0]["content"]}
        for row in texts(count)
        if isinstance(row["response"], list)
    ] or [{"prompt": row["prompt"], "text": row["response"]} for row in texts(count)]
    for row in rows:
        if isinstance(row["prompt"], str):
            row["prompt"] = [{"role": "user", "content": row["prompt"]}]
    with tempfile.TemporaryDirectory() as place:
        measure("tiny Llama", tiny_model("llama", Path(place)), rows, turns)
        rows = rows[: max(CLIENTS, len(rows) // 2)]
        measure("Llama of 4 layers, 256 wide", model_in(Path(place), "llama"), rows, turns)
    measure("MiniLM with a head", HERE / "examples/data/minilm-head", rows, turns)


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:]) if len(sys.argv) > 2 else (512, 5)))
