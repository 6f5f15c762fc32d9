"""Mutated data files give rows or one sentence, never a traceback, whatever kind reads them.

Every kind that reads a file of rows gets the same seeded mutations of small valid files: bytes
flipped, cut and doubled, values of other types, halves of surrogate pairs.
"""

from __future__ import annotations

import csv
import io
import json
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmplug import RmplugError
from rmplug._kinds.registry import discover
from rmplug.data.odd_rows import OddRows, OddRowsFilter
from rmplug.families import DatasetLoader, reads_files
from rmplug.testing import small_pairs
from rmplug_armorm.export.embeddings import EmbeddingsFile
from rmplug_bench.layouts.published import BENCHMARKS, RMB
from rmplug_hf.data.hub import HubDataset
from rmplug_hybrid import HybridFile, ResultsFile, Tags
from rmplug_text.loaders import ABFile, PairsFile, ResponsesFile
from rmplug_text.recorded import Recorded

TIMES = 200
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 7, 10**30, 1e999, 0.5, "", " ", "x", "\ud800", "a\udfff", "\x00", [], ["a"],
    [1], [None], [["a"]], {}, {"role": "user"}, {"a": {"b": 1}}, [{"role": "user", "content": 3}],
    [{"role": "user", "content": "\ud83d"}], [{"role": "assistant", "content": "c"}], "A>B",
    "2024-01-01",
)  # fmt: skip
NAMES = (
    "chosen",
    "rejected",
    "response",
    "prompt",
    "id",
    "group",
    "model",
    "margin",
    "ratings",
    "\ud800",
)
PAIR = {"prompt": "Hi?", "chosen": "Hello.", "rejected": "Go away."}
TURNS = [{"role": "user", "content": "Hi"}]
ROWS: dict[str, list[dict[str, Any]]] = {
    "pairs-file": [{"id": f"q{n}", **PAIR, "margin": 1.5, "meta": {"a": [1]}} for n in range(3)],
    "responses-file": [
        {"id": n, "prompt": TURNS, "response": f"r{n}", "ratings": {"h": 1}, "label": True}
        for n in range(3)
    ],
    "ab-file": [
        {"prompt": "p", "response_a": f"a{n}", "response_b": "b", "label": label, "weight": 2}
        for n, label in enumerate(("A", "B", "tie"))
    ],
    "recorded": [{"id": f"pair-{n}/chosen", "score": n / 2, "model": "m"} for n in range(3)],
    "hybrid-file": [
        {"id": f"h{n}", "text": "P", "completion_a": "A", "completion_b": "B", "model_a": "m",
         "model_b": "n", "tags": ["x"], "pref_human": label}
        for n, label in enumerate(("a-is-better", "tie", "b-is-clearly-better"))
    ],
    "results-file": [{"uuid": f"u{n}", "Overall": n, "budget": n, "ok": True} for n in range(3)],
    "tags": [
        {"id": f"pair-{n}", "languages": ["English"], "safety_concern": "low"} for n in range(7)
    ],
    "hub-dataset": [{"id": f"q{n}", **PAIR, "margin": 1.5, "meta": {"a": [1]}} for n in range(3)],
    "rewardbench": [{**PAIR, "subset": "s", "id": n, "chosen_model": "a"} for n in range(3)],
    "m-rewardbench": [{**PAIR, "subset": "s", "id": n, "language": "deu"} for n in range(3)],
    "rewardbench-2": [
        {"id": f"tied:{n}", "prompt": "p", "chosen": ["a", "b"], "rejected": ["c"],
         "subset": "Ties", "models": ["m1", "m2", "m3"]}
        for n in range(3)
    ],
    "rm-bench": [
        {"id": n, "prompt": "p", "chosen": ["c", "p", "m"], "rejected": ["C", "P", "M"],
         "domain": "d"}
        for n in range(3)
    ],
    "judgebench": [
        {"pair_id": f"x{n}", "source": "mmlu-pro-law", "question": "q", "response_A": "a",
         "response_B": "b", "label": "B>A", "meta": {"label": "B>A"}}
        for n in range(3)
    ],
    "llmbar": [
        {"input": "i", "output_1": "a", "output_2": "b", "label": 1, "meta": {"label": 1}}
        for _ in range(3)
    ],
    "rmb": [
        {"pair_uid": str(n), "conversation_input": TURNS,
         "chosen": {"llm_name": "a", "answer": "A"},
         "reject": {"llm_name": "b", "answer": "B"}, "category_path": "Pairwise_set/H/C"}
        for n in range(3)
    ],
    "rmb best-of-n": [
        {"bon_uid": str(n), "conversation_input": TURNS,
         "bon_best": {"llm_name": "a", "answer": "A"},
         "loser_list": [{"llm_name": "b", "answer": "B"}], "category_path": "BoN_set/H/S1",
         "meta": {"model_chosen": "m", "models_rejected": ["n"]}}
        for n in range(3)
    ],
    "rewardmath": [
        {"problem": "1+1?", "problem_id": 5, "id": n, "eval_solution": ["2"], "subject": "Algebra",
         "solution_type": "chosen" if n else "rejected"}
        for n in range(3)
    ],
    "ppe": [
        {"question_id": n, "prompt": "p", "scores": [False, True], "response_1": "a",
         "response_2": "b"}
        for n in range(3)
    ],
}  # fmt: skip


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def array(rows):
    return json.dumps(rows, indent=1).encode()


def table(rows):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    names = list(dict.fromkeys(name for row in rows for name in row))
    plain = [[_cell(row.get(name)) for name in names] for row in rows]
    writer.writerows([names, *plain])
    return stream.getvalue().encode(errors="surrogatepass")


def _cell(value):
    return value if isinstance(value, str | int | float | None) else json.dumps(value)


def parquet(rows):
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError, ValueError):
            columns[name] = pa.array([json.dumps(value) for value in values])
    stream = io.BytesIO()
    try:
        pq.write_table(pa.table(columns), stream)
    except (pa.ArrowException, UnicodeEncodeError):
        return b"PAR1"
    return stream.getvalue()


WRITERS = ((".jsonl", lines), (".json", array), (".csv", table), (".parquet", parquet))


def mutated_rows(rows, chance: random.Random):
    """The rows with one or two values of other types, or further columns."""
    rows = json.loads(json.dumps(rows))
    for _ in range(chance.choice((0, 1, 1, 2))):
        row, value = chance.choice(rows), chance.choice(VALUES)
        name = chance.choice([*row, *row, chance.choice(NAMES)])
        if chance.random() < 0.3:
            for other in rows:
                other[name] = value
        elif chance.random() < 0.2:
            row.pop(name, None)
        elif isinstance(row.get(name), list) and row[name] and chance.random() < 0.6:
            row[name][chance.randrange(len(row[name]))] = value
        elif isinstance(row.get(name), dict) and row[name] and chance.random() < 0.6:
            row[name][chance.choice(list(row[name]))] = value
        else:
            row[name] = value
    return rows


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """The bytes with a few flipped, cut out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(chance.choice((0, 0, 1, 2, 6))):
        at = chance.randrange(len(changed) + 1)
        span = slice(at, at + chance.randrange(1, 9))
        match chance.randrange(5):
            case 0 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                del changed[span]
            case 2:
                changed[at:at] = changed[span]
            case 3:
                changed[at:at] = chance.choice(
                    (b"\xff", b"\x00", b"\\ud800", b'"', b"{", b"[", b"\n")
                )
            case _:
                del changed[at:]
    return bytes(changed)


def mutations(rows, seed: int, writers=WRITERS) -> Iterator[tuple[str, bytes]]:
    chance = random.Random(seed)
    for _ in range(TIMES):
        ending, write = chance.choice(writers)
        yield ending, mutated_bytes(write(mutated_rows(rows, chance)), chance)


def kept(step, **more) -> Callable[[Path, str], Any]:
    """Loads and looks for odd rows, as a run does."""

    def load(path: Path, bad_rows: str):
        data = step(path=path, bad_rows=bad_rows, **more).load()
        keep = OddRowsFilter(OddRows(), type(data).required[1:])
        for batch in data.rows.tables():
            keep(batch)
            batch.validate(full=True)

    return load


def recorded(path: Path, bad_rows: str):
    Recorded(path=path, bad_rows=bad_rows, missing="nan", duplicates="first").load()


def results(path: Path, bad_rows: str):
    ResultsFile(path=path, bad_rows=bad_rows).compute().table.validate(full=True)


def tags(path: Path, bad_rows: str):
    column = {} if bad_rows == "error" else {"column": "languages"}
    step = Tags(path=path, only=("languages", "safety_concern"), missing="none", **column)
    step.compute(small_pairs()).table.validate(full=True)


def hub(path: Path, bad_rows: str):
    kept(HubDataset, streaming=True)(path, bad_rows)


LOADS: dict[str, Callable[[Path, str], Any]] = {
    **{
        step.kind: kept(step)
        for step in (PairsFile, ResponsesFile, ABFile, HybridFile, *BENCHMARKS)
    },
    "rmb best-of-n": kept(RMB, rows="best-of-n"),
    "recorded": recorded,
    "results-file": results,
    "tags": tags,
    "hub-dataset": hub,
}


def fuzz(load, files, folder: Path):
    """Load every file; give how many were read, and the sentences of the others."""
    read, told = 0, []
    for number, (ending, data) in enumerate(files):
        path = folder / f"rows{ending}"
        path.write_bytes(data)
        try:
            load(path, ("error", "drop")[number % 2])
        except RmplugError as error:
            told.append(str(error))
        except Exception as error:
            raise AssertionError(f"mutation {number} of {ending}: {data!r}") from error
        else:
            read += 1
    assert [text for text in told if not text.strip() or "\n" in text] == []
    return read, told


@pytest.mark.parametrize("kind", sorted(LOADS))
def test_mutated_files_are_rows_or_one_sentence(kind, tmp_path):
    if kind == "hub-dataset":
        pytest.importorskip("datasets")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read, told = fuzz(LOADS[kind], mutations(ROWS[kind], seed=len(kind)), tmp_path)
    assert read >= TIMES / 20 and len(told) >= TIMES / 20, "the mutations are too mild or too wild"
    assert read + len(told) == TIMES


def test_mutated_embeddings_are_rows_or_one_sentence(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    chance = random.Random(0)
    tensors = {"embeddings": np.ones((3, 2, 4), "float32")}
    whole = safetensors.save(tensors)
    files = []
    for _ in range(TIMES):
        head = mutated_bytes(whole[:80], chance) if chance.random() < 0.7 else whole[:80]
        files.append((".safetensors", head + mutated_bytes(whole[80:], chance)))

    def load(path: Path, _: str):
        EmbeddingsFile(path=path).compute().table.validate(full=True)

    read, told = fuzz(load, files, tmp_path)
    assert read >= TIMES / 20 and len(told) >= TIMES / 20


def test_the_mutations_reach_every_file_reading_kind():
    registry = discover()
    registry.keep("rmplug")
    found = {
        provider.cls.kind
        for provider in registry.all()
        if issubclass(provider.cls, DatasetLoader)
        and any(reads_files(info) for info in provider.cls.model_fields.values())
    }
    assert len(found) > 12 and found <= set(LOADS)
