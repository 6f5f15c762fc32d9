"""What the server counts, in the text form of Prometheus (0.0.4)."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0)
FIRST_RATE = 10.0
"""Rows per second that are assumed before any was scored."""


class Histogram:
    """Counts of values up to each bound, their number and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: str = "") -> Iterator[str]:
        """Write the histogram as samples; ``labels`` are further ones, written."""
        comma, below = "," if labels else "", 0
        own = f"{{{labels}}}" if labels else ""
        for bound, count in zip((*map(_number, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            yield f'{name}_bucket{{{labels}{comma}le="{bound}"}} {below}'
        yield f"{name}_sum{own} {_number(self.total)}"
        yield f"{name}_count{own} {below}"


class Metrics:
    """The counts of a server, of all its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._latencies: dict[str, Histogram] = {}
        self._batches, self._rows, self._seconds = Histogram(ROWS), 0, 0.0

    def request_answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request by the address and the status of its answer."""
        with self._lock:
            self._requests[path, status] += 1
            self._latencies.setdefault(path, Histogram(SECONDS)).add(seconds)

    def batch_scored(self, rows: int, seconds: float) -> None:
        """Count what the model scored at once."""
        with self._lock:
            self._batches.add(rows)
            self._rows += rows
            self._seconds += seconds

    def seconds_for(self, rows: int) -> float:
        """Estimate how long the model takes for rows, from those that it has scored."""
        with self._lock:
            rate = self._rows / self._seconds if self._seconds else FIRST_RATE
        return rows / rate

    def text(self, waiting: int) -> str:
        """Write all counts; ``waiting`` is the number of rows in the queue."""
        with self._lock:
            return "\n".join([*self._lines(waiting), ""])

    def _lines(self, waiting: int) -> Iterator[str]:
        yield from _head("rmplug_requests_total", "counter", "Requests answered.")
        for (path, status), count in sorted(self._requests.items()):
            yield f'rmplug_requests_total{{path="{path}",status="{status}"}} {count}'
        yield from _head("rmplug_request_seconds", "histogram", "Seconds to answer a request.")
        for path, histogram in sorted(self._latencies.items()):
            yield from histogram.lines("rmplug_request_seconds", f'path="{path}"')
        yield from _head("rmplug_rows_total", "counter", "Rows scored.")
        yield f"rmplug_rows_total {self._rows}"
        yield from _head("rmplug_queue_rows", "gauge", "Rows waiting for the model.")
        yield f"rmplug_queue_rows {waiting}"
        yield from _head("rmplug_batch_rows", "histogram", "Rows that the model got at once.")
        yield from self._batches.lines("rmplug_batch_rows")
        yield from _head("rmplug_model_seconds_total", "counter", "Seconds the model worked.")
        yield f"rmplug_model_seconds_total {_number(self._seconds)}"


def _head(name: str, kind: str, what: str) -> tuple[str, str]:
    return f"# HELP {name} {what}", f"# TYPE {name} {kind}"


def _number(value: float) -> str:
    return f"{value:.10g}"
