"""Measure `recorded`, looked up by text: by columns, beside the same file read row by row.

    python benchmarks/recorded.py [--rows 100000] [--rounds 3]

As many scores as responses, each with a prompt of 10 words and a response of 40, in a Parquet file
and in JSON Lines. Prints the CPU seconds to read all scores and look all of them up (the best of
the rounds), and how many times more reading row by row takes; both must give the same scores.
Measured on a busy machine: Parquet .61 and .12 s, 5.1 times; JSON Lines .63 and .18 s, 3.4 times.
Before columns were read, when rows were parsed by Python's json, .75 and .97 s: 6.4 and 5.5 times
as long as now. Of the .18 s about .075 go to Arrow's parser and .04 to hashes of texts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rmplug import Responses, RewardModel
from rmplug.data.row_files import RowFiles
from rmplug_text._recorded import Lookup, ScoreReader
from rmplug_text.recorded import Recorded

WORDS = np.array(["I", "think", "the", "weather", "is", "nice,", "perhaps", "12", "of", "us."])


def made_up_scores(rows: int) -> pa.Table:
    """Return scores with texts that differ between rows."""
    rng = np.random.default_rng(0)
    texts = {
        name: [f"{row} " + " ".join(rng.choice(WORDS, count)) for row in range(rows)]
        for name, count in (("prompt", 10), ("response", 40))
    }
    return pa.table({**texts, "score": rng.normal(size=rows)})


def read_by_row(step: Recorded) -> RewardModel:
    """Read the scores of a step one row at a time, as files are read that are not plain."""
    source = RowFiles(step.path, step.format, step.bad_rows)
    fields = step.fields.model_dump()
    reader = ScoreReader(Lookup(step.by), fields, {}, {}, step.form)
    for _ in source.convert(reader.take, ""):
        pass
    return reader.finish(step)


def measure(
    load: Callable[[], RewardModel], data: Responses, rounds: int
) -> tuple[float, np.ndarray]:
    """Return the least CPU seconds to read scores and look up all responses, and the scores."""
    batches, times = list(data.batches()), []
    for _ in range(rounds):
        begin = time.process_time()
        model = load()
        scores = np.concatenate([model.score(batch) for batch in batches])
        times.append(time.process_time() - begin)
    return min(times), scores


def main() -> None:
    """Measure both formats."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    table = made_up_scores(asked.rows)
    ids = [f"r{row}" for row in range(asked.rows)]
    data = Responses({"id": ids, "prompt": table["prompt"], "response": table["response"]})
    print("format       row by row, s  now, s  ratio")
    with tempfile.TemporaryDirectory() as name:
        parquet, lines = Path(name) / "scores.parquet", Path(name) / "scores.jsonl"
        pq.write_table(table, parquet)
        lines.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
        for file in (parquet, lines):
            step = Recorded(path=file, by="text")
            now, found = measure(step.load, data, asked.rounds)
            before, expected = measure(partial(read_by_row, step), data, asked.rounds)
            np.testing.assert_array_equal(found, expected)
            print(f"{file.suffix[1:]:11} {before:14.2f} {now:7.2f} {before / now:6.1f}")


if __name__ == "__main__":
    main()
