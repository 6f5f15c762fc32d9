"""The record form of the hybrid preference router: its pairs with two labels, its training sets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug import Pairs, notice, text_of
from rmplug.data.raw_texts import BadRow, Text, shown, text_from
from rmplug.data.row_files import (
    Entry,
    FurtherColumns,
    Policy,
    Row,
    RowFiles,
    identifier,
    need,
    read_tables,
)

VERDICTS = tuple(
    f"{side}-is-{much}" for side in "ab" for much in ("slightly-better", "clearly-better", "better")
)
TIE = "tie"
MODELS = ("model_a", "model_b")
GIVEN = ("id", "prompt", "chosen", "rejected", "chosen_model", "rejected_model")
HINT = "say what it is called there with a_column, b_column, prompt_column, id_column or label"


def read_pairs(path: Path, label: str | None, fields: Mapping[str, str], bad_rows: Policy) -> Pairs:
    """Return pairs as one of the labels has them, ties dropped and counted; without a label all
    pairs as they stand."""
    columns = FurtherColumns(("group", "subset"), lists=True)
    source = RowFiles([path], bad_rows=bad_rows)
    texts = ("prompt", "chosen", "rejected")
    return Pairs.stream(read_tables(source, Labelled(label, fields), texts, HINT, columns))


@dataclass(frozen=True)
class Labelled:
    """A converter of rows with responses A and B to the pair of their label; ties give none."""

    label: str | None
    fields: Mapping[str, str]

    def __call__(self, row: Row) -> Sequence[Entry]:
        value, names = row.value, self.fields
        name = identifier(need(value, names["id"]), names["id"])
        prompt, first, second = (_text(value, names[part]) for part in ("prompt", "a", "b"))
        verdict = "a" if self.label is None else _verdict(value, self.label)
        if verdict == TIE:
            notice(f"{self.label} is a tie", [name], "dropped")
            return []
        order = 1 if verdict.startswith("a") else -1
        chosen, rejected = (first, second)[::order]
        core = {"id": name, "prompt": prompt, "chosen": chosen, "rejected": rejected}
        return [(core, self._further(value, order))]

    def _further(self, value: Mapping[str, Any], order: int) -> dict[str, Any]:
        """Return all other columns; one that bears the name of a column of pairs becomes
        ``file.<name>``."""
        used = {*self.fields.values()}
        models: dict[str, Any] = {}
        if all(name in value for name in MODELS):
            used |= {*MODELS}
            written = [value[name] for name in MODELS][::order]
            models = dict(zip(("chosen_model", "rejected_model"), written, strict=True))
        further = {name: item for name, item in value.items() if name not in used}
        return models | {
            f"file.{name}" if name in GIVEN else name: item for name, item in further.items()
        }


def _text(value: Mapping[str, Any], name: str) -> Text:
    text = need(value, name)
    return text if isinstance(text, str) else text_from(text, name, "messages")


def _verdict(value: Mapping[str, Any], label: str) -> str:
    written = need(value, label)
    verdict = written.lower() if isinstance(written, str) else ""
    if verdict not in (*VERDICTS, TIE):
        raise BadRow(f"{label} is {shown(written)}", f"labels are {', '.join(VERDICTS)} and {TIE}")
    return verdict


def write_records(data: Pairs, layout: str, file: Path) -> None:
    """Write one line of JSON for each pair, a batch at a time."""
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
