"""Batches of pairs or responses from published rows: the columns that each layout gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rmplug import notice
from rmplug.data.row_files import (
    Policy,
    RowFiles,
    UnusableRows,
    convert_rows,
    messages_of,
    with_groups,
)
from rmplug.models.hub import commit_of

from . import _row_converters as rows
from ._hub_rows import hub_rows
from ._row_converters import Converted, PublishedRowConverter

BATCH_ROWS = 1000
TEXT, NUMBER, POSITION = pa.string(), pa.float64(), pa.int64()


@dataclass(frozen=True)
class Layout:
    """Converter of the rows of a published layout, and the columns of its result: texts (``prompt``
    first), and others with their types."""

    convert: PublishedRowConverter
    texts: tuple[str, ...]
    others: Mapping[str, pa.DataType]


def _pairs(convert: PublishedRowConverter, **others: pa.DataType) -> Layout:
    return Layout(convert, ("prompt", "chosen", "rejected"), {"subset": TEXT, **others})


def _responses(convert: PublishedRowConverter, **others: pa.DataType) -> Layout:
    common = {"case": TEXT, "label": NUMBER, "subset": TEXT}
    return Layout(convert, ("prompt", "response"), {**common, **others})


WRITERS = {"chosen_model": TEXT, "rejected_model": TEXT}
LAYOUTS: dict[str, Layout] = {
    "rewardbench": _pairs(rows.rewardbench, **WRITERS),
    "m-rewardbench": _pairs(rows.m_rewardbench, **WRITERS, language=TEXT, group=TEXT),
    "rewardbench-2": _responses(rows.rewardbench_2, kind=TEXT, model=TEXT, group=TEXT),
    "rm-bench": _responses(rows.rm_bench, style=TEXT),
    "judgebench": _pairs(rows.judgebench, place=POSITION, source=TEXT, response_model=TEXT),
    "llmbar": _pairs(rows.llmbar, place=POSITION),
    "rmb/pairs": _pairs(rows.rmb_pairs, **WRITERS),
    "rmb/best-of-n": _responses(rows.rmb_choices, model=TEXT),
    "rewardmath": _responses(rows.rewardmath, model=TEXT),
    "ppe": _responses(rows.ppe, place=POSITION, model=TEXT),
}


def file_batches(paths: Sequence[Path], layout: str, bad_rows: Policy) -> Iterator[pa.Table]:
    """Yield the rows of a benchmark's files in batches; at least one."""
    target = LAYOUTS[layout]
    converted = RowFiles(paths, bad_rows=bad_rows).convert(target.convert, _hint(layout))
    return _batches((result for _, result in converted), target)


def hub_batches(
    name: str,
    revision: str | None,
    configs: Sequence[str],
    splits: Sequence[str],
    layout: str,
    bad_rows: Policy,
) -> Iterator[pa.Table]:
    """Yield the rows of a benchmark's splits on the hub in batches; at least one."""
    target = LAYOUTS[layout]
    commit = commit_of(name, revision, "dataset")
    unusable = UnusableRows(bad_rows, _hint(layout), [name])
    converted = convert_rows(hub_rows(name, commit, configs, splits), target.convert, unusable)
    return _batches((result for _, result in converted), target)


def _hint(layout: str) -> str:
    return f"give rows in the layout of {layout}, as they were published"


def _batches(converted: Iterable[Converted], layout: Layout) -> Iterator[pa.Table]:
    batch: list[dict[str, Any]] = []
    any_batch = False
    for entries in _with_ids(converted):
        batch += entries
        if len(batch) >= BATCH_ROWS:
            yield _table(batch, layout)
            batch, any_batch = [], True
    if batch or not any_batch:
        yield _table(batch, layout)


def _with_ids(converted: Iterable[Converted]) -> Iterator[list[dict[str, Any]]]:
    """Yield entries with an id; a repeated name gets a number."""
    seen: Counter[str] = Counter()
    for name, entries in converted:
        seen[name] += 1
        if seen[name] > 1:
            notice("id was there before: numbered", [name], "changed")
            name = f"{name}#{seen[name]}"
        yield [_with_id(name, entry) for entry in entries]


def _with_id(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    suffix = entry.pop("suffix", "")
    return {"case": name, **entry, "id": f"{name}/{suffix}" if suffix else name}


def _table(entries: Sequence[dict[str, Any]], layout: Layout) -> pa.Table:
    arrays: dict[str, Any] = {"id": pa.array([e["id"] for e in entries], TEXT)}
    for name in layout.texts:
        arrays[name] = messages_of([entry[name] for entry in entries], name)
    for name, kind in layout.others.items():
        values = [entry.get(name) for entry in entries]
        arrays[name] = pa.array([_as_text(v) for v in values] if kind == TEXT else values, kind)
    table = pa.table(arrays)
    return with_groups(table) if "group" in table.column_names else table


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
