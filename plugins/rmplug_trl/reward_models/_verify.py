"""The proof that what was saved scores as what was trained."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, Pairs, Responses
from rmplug.arrays import Array
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of

PROBES = 32
TOLERANCE = 1e-4
"""Largest difference of scores, as a share of their spread (or of 1 where that is smaller)."""


def probes_of(data: Pairs | Responses) -> pa.RecordBatch:
    """Return a few rows of responses from the whole of the data. Raises DataError without any."""
    table = data.table
    if not table.num_rows:
        raise DataError("the data have no row on which scores could be compared; give some")
    few = np.unique(np.linspace(0, table.num_rows - 1, PROBES).astype(np.int64))
    side = "chosen" if isinstance(data, Pairs) else "response"
    return side_of(one_batch(table.take(pa.array(few))), side)


def scores_of(model: Any, probes: pa.RecordBatch) -> Array:
    """Return scores as a matrix."""
    return np.asarray(model.score(probes), dtype=np.float64).reshape(probes.num_rows, -1)


def check_equal(saved: Array, trained: Array, directory: Path) -> None:
    """Refuse a saved model whose scores are not those of the trained one."""
    spread = max(1.0, float(trained.max() - trained.min()))
    apart = float(np.abs(saved - trained).max()) / spread
    if not apart <= TOLERANCE:
        raise DataError(
            f"the model saved in {directory} does not score as the trained one does (up to "
            f"{apart:.2g} of the spread of scores apart on {len(trained)} rows); nothing is kept"
        )


def scores_in_fresh_process(
    kind: type[Any], directory: Path, probes: pa.RecordBatch, settings: Mapping[str, Any]
) -> Array:
    """Return the scores of a saved model that a new process loads."""
    with pa.BufferOutputStream() as sink:
        with pa.ipc.new_stream(sink, probes.schema) as writer:
            writer.write_batch(probes)
        sent = sink.getvalue().to_pybytes()
    code = (
        "import json, sys; from pathlib import Path; import pyarrow as pa; "
        f"from {kind.__module__} import {kind.__name__} as kind; "
        "probes = pa.ipc.open_stream(sys.stdin.buffer.read()).read_next_batch(); "
        "model = kind.open(Path(sys.argv[1]), **json.loads(sys.argv[2])); "
        "print('scores', json.dumps(model.score(probes).tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(directory), json.dumps(settings, default=str)],
        input=sent,
        capture_output=True,
        check=False,
    )
    lines = [line for line in done.stdout.decode().splitlines() if line.startswith("scores ")]
    if done.returncode or not lines:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise DataError(
            f"the merged model in {directory} does not load in a new process: "
            f"{reason[-1] if reason else 'it ended without a word'}"
        )
    return np.asarray(json.loads(lines[-1].removeprefix("scores "))).reshape(probes.num_rows, -1)


def check_saved(
    kind: type[Any],
    trained: Array,
    probes: pa.RecordBatch,
    directory: Path,
    settings: Mapping[str, Any],
    fresh: bool,
) -> None:
    """Load what was saved, in a ``fresh`` process or here, with the ``settings`` that the spec has
    for the model it was trained on, and compare its scores with those of the trained model."""
    if fresh:
        saved = scores_in_fresh_process(kind, directory, probes, settings)
    else:
        saved = scores_of(kind.open(directory, **settings), probes)
    check_equal(saved, trained, directory)
