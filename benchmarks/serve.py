"""A load test of ``rmplug serve``: 64 clients at once, each answer compared with the score of the
same model in this process, and the rows per second of both.

Each client sends one conversation at a time and the next when its answer is there. Offline is the
scorer over the same rows in shards of 256, as a query of a run asks it. Ratios are served over
offline: of rows per second of processor time (the server's whole process, HTTP included, against
the scorer), and of rows per second on the clock, which other work on the machine disturbs and which
has the client on the same machine. Aim: at least 0.9.

Run: ``python benchmarks/serve.py [ROWS]``; texts are ``../shared/data/hh_rlhf`` where it is, else
the examples of this project repeated.
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
from scoring_data import texts

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


def measure(name: str, folder: Path, rows: Sequence[Row]) -> None:
    """Print how a model is served beside how it scores offline."""
    scorer = rmplug.load(folder)
    offline(scorer, rows[:SHARD])
    with served(folder) as (address, process):
        asyncio.run(ask(address, rows[:CLIENTS], CLIENTS))
        # offline before and after: the speed of the machine changes
        cpu, clock, expected = _offline(scorer, rows)
        counts = _counted(address)
        before, started = _cpu(process), time.monotonic()
        found, seconds = asyncio.run(ask(address, rows, CLIENTS))
        served_clock, served_cpu = time.monotonic() - started, _cpu(process) - before
        again_cpu, again_clock, _ = _offline(scorer, rows)
        batches, batched, model = np.subtract(_counted(address), counts)
    cpu, clock = (cpu + again_cpu) / 2, (clock + again_clock) / 2
    wrong = int((np.abs(found - expected) > 1e-5 * max(1.0, np.abs(expected).max())).sum())
    p50, p95 = np.percentile(seconds, [50, 95])
    print(
        f"{name}: {len(rows)} rows, {CLIENTS} clients; lost {int(np.isnan(found).sum())}, other "
        f"than offline {wrong}, largest difference {np.abs(found - expected).max():.1e} (scores "
        f"spread {expected.std():.2f})\n"
        f"  rows per CPU second: offline {len(rows) / cpu:.1f}, served {len(rows) / served_cpu:.1f}"
        f", ratio {cpu / served_cpu:.2f}\n"
        f"  rows per second on the clock: offline {len(rows) / clock:.1f}, served "
        f"{len(rows) / served_clock:.1f}, ratio {clock / served_clock:.2f}\n"
        f"  seconds to an answer: p50 {p50:.2f}, p95 {p95:.2f}; {batched / batches:.1f} rows at "
        f"once; the model worked {model / served_clock:.0%} of the time"
    )


def _offline(scorer: Scorer, rows: Sequence[Row]) -> tuple[float, float, np.ndarray]:
    """Seconds of processor time and on the clock, and the scores."""
    cpu, clock = time.process_time(), time.monotonic()
    scores = offline(scorer, rows)
    return time.process_time() - cpu, time.monotonic() - clock, scores


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


def main(count: int) -> None:
    rows = [
        {"prompt": row["prompt"], "text": row["response"][0]["content"]}
        for row in texts(count)
        if isinstance(row["response"], list)
    ] or [{"prompt": row["prompt"], "text": row["response"]} for row in texts(count)]
    for row in rows:
        if isinstance(row["prompt"], str):
            row["prompt"] = [{"role": "user", "content": row["prompt"]}]
    with tempfile.TemporaryDirectory() as place:
        measure("tiny Llama", tiny_model("llama", Path(place)), rows)
    rows = rows[: max(CLIENTS, len(rows) // 2)]
    measure("MiniLM with a head", HERE / "examples/data/minilm-head", rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 512)
