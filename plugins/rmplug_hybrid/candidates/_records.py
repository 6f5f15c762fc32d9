"""The record form of the hybrid preference router: its pairs with two labels, its training sets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from rmplug import DataError, Pairs, notice, text_of
from rmplug.errors import did_you_mean, some

VERDICTS = tuple(
    f"{side}-is-{much}" for side in "ab" for much in ("slightly-better", "clearly-better", "better")
)
TIE = "tie"
BLOCK = 1 << 26
"""Bytes read at once: the longest line that can be read."""


def read_pairs(path: Path, label: str | None, fields: Mapping[str, str]) -> Pairs:
    """Pairs as one of the labels has them, ties dropped and counted; without a label all pairs as
    they stand."""
    table = _read(path)
    _check_columns(table, path, [*fields.values(), *([label] if label else [])])
    ids = pc.cast(table[fields["id"]], pa.string())
    if label is None:
        return Pairs(_as_pairs(table, pa.scalar(True), fields))
    verdicts = pc.utf8_lower(pc.cast(table[label], pa.string()))
    _check_verdicts(ids, verdicts, path, label)
    ties = pc.equal(verdicts, TIE)
    notice(f"{label} is a tie", ids.filter(ties).to_pylist(), "dropped")
    table = table.filter(pc.invert(ties))
    first = pc.starts_with(verdicts.filter(pc.invert(ties)), "a")
    return Pairs(_as_pairs(table, first, fields))


def _read(path: Path) -> pa.Table:
    try:
        return pa_json.read_json(path, read_options=pa_json.ReadOptions(block_size=BLOCK))
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as JSON Lines: {error}") from None


def _check_columns(table: pa.Table, path: Path, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.column_names:
            raise DataError(
                f"{path} has no column {name!r}{did_you_mean(name, table.column_names)}; say what "
                "it is called there with a_column, b_column, prompt_column, id_column or label"
            )


def _check_verdicts(
    ids: pa.ChunkedArray, verdicts: pa.ChunkedArray, path: Path, label: str
) -> None:
    known = pc.is_in(verdicts, value_set=pa.array([*VERDICTS, TIE]))
    if pc.all(known).as_py() is not False:
        return
    odd = pc.invert(known)
    values = [str(value) for value in verdicts.filter(odd).unique().to_pylist()]
    raise DataError(
        f"{path}: {label} is {some(values)} in {pc.sum(odd)} rows "
        f"({some(ids.filter(odd).to_pylist())}); labels are {', '.join(VERDICTS)} and {TIE}"
    )


def _as_pairs(
    table: pa.Table, first: pa.ChunkedArray | pa.Scalar, fields: Mapping[str, str]
) -> pa.Table:
    """``first`` says where the first response is the chosen one."""
    columns = {"id": table[fields["id"]], "prompt": table[fields["prompt"]]}
    responses = table[fields["a"]], table[fields["b"]]
    columns["chosen"] = pc.if_else(first, *responses)
    columns["rejected"] = pc.if_else(first, *reversed(responses))
    if {"model_a", "model_b"} <= set(table.column_names):
        models = table["model_a"], table["model_b"]
        columns["chosen_model"] = pc.if_else(first, *models)
        columns["rejected_model"] = pc.if_else(first, *reversed(models))
    used = {*fields.values(), *columns, "model_a", "model_b"}
    further = {name: table[name] for name in table.column_names if name not in used}
    return pa.table({**columns, **further})


def write_records(data: Pairs, layout: str, file: Path) -> None:
    """One line of JSON for each pair, a batch at a time."""
    make = _original if layout == "original" else _plain
    with file.open("w", encoding="utf-8") as lines:
        for batch in data.batches():
            for record in make(batch):
                lines.write(json.dumps(record, ensure_ascii=False) + "\n")


def _plain(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    for row in batch.to_pylist():
        yield {name: None if _is_nan(value) else value for name, value in row.items()}


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and bool(np.isnan(value))


def _original(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    prompts = text_of(batch.column("prompt")).to_pylist()
    for prompt, row in zip(prompts, batch.to_pylist(), strict=True):
        record = {
            "id": row["id"],
            "source": row.get("source") or "",
            "highest_level_degree": row.get("highest_level_degree") or "",
            "prompt": prompt,
        }
        for side in ("chosen", "rejected"):
            turns = [*row["prompt"], *row[side]]
            record[side] = [{"content": t["content"], "role": t["role"]} for t in turns]
            record[f"{side}_model"] = row.get(f"{side}_model") or ""
        yield {**record, "features_used": None, "is_swapped": bool(row.get("is_swapped"))}
