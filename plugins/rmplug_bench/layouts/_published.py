"""The published layouts: what each row gives, and as which columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from rmplug.data.messages import prompt_groups

from . import _rows as rows
from ._files import Placed, file_rows
from ._tables import PAIRS, RESPONSES, Columns, Layout, tables

if TYPE_CHECKING:
    from .layouts import Published

TEXT, NUMBER, PLACE = pa.string(), pa.float64(), pa.int64()


@dataclass(frozen=True)
class Form:
    """The layout of a row, and the columns that it gives."""

    layout: Layout
    columns: Columns


def _pairs(layout: Layout, **others: pa.DataType) -> Form:
    return Form(layout, Columns(PAIRS, {"subset": TEXT, **others}))


def _responses(layout: Layout, **others: pa.DataType) -> Form:
    common = {"case": TEXT, "label": NUMBER, "subset": TEXT}
    return Form(layout, Columns(RESPONSES, {**common, **others}))


WRITERS = {"chosen_model": TEXT, "rejected_model": TEXT}
FORMS: dict[str, Form] = {
    "rewardbench": _pairs(rows.rewardbench, **WRITERS),
    "m-rewardbench": _pairs(rows.m_rewardbench, **WRITERS, language=TEXT, group=TEXT),
    "rewardbench-2": _responses(rows.rewardbench_2, kind=TEXT, model=TEXT, group=TEXT),
    "rm-bench": _responses(rows.rm_bench, style=TEXT),
    "judgebench": _pairs(rows.judgebench, place=PLACE, source=TEXT, response_model=TEXT),
    "llmbar": _pairs(rows.llmbar, place=PLACE),
    "rmb/pairs": _pairs(rows.rmb_pairs, **WRITERS),
    "rmb/best-of-n": _responses(rows.rmb_choices, model=TEXT),
    "rewardmath": _responses(rows.rewardmath, model=TEXT),
    "ppe": _responses(rows.ppe, place=PLACE, model=TEXT),
}


def batches(step: Published, form: str) -> Iterator[pa.Table]:
    """The rows of a benchmark's files, or of a data set on the hub, in batches."""
    found = FORMS[form]
    for table in tables(_rows(step), found.layout, found.columns, step.bad_rows):
        yield _with_groups(table) if "group" in table.column_names else table


def _rows(step: Published) -> Iterator[Placed]:
    if step.path is not None:
        return file_rows(step.path)
    from rmplug.models.hub import commit_of

    from ._hub import hub_rows

    assert step.name is not None
    commit = commit_of(step.name, step.revision, "dataset")
    return hub_rows(step.name, commit, step.config or (), step.splits())


def _with_groups(table: pa.Table) -> pa.Table:
    """Rows without a group of their own get the hash of their prompt."""
    groups = table["group"].combine_chunks()
    if groups.null_count:
        groups = pc.coalesce(groups, prompt_groups(table["prompt"]))
    return table.set_column(table.schema.get_field_index("group"), "group", groups)
