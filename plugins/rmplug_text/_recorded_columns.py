"""Recorded scores read by columns from plain files: one score, an id or two texts in each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from rmplug.data.row_files import NotPlain, RowFiles

LAYOUT_COLUMNS = ("judgments", "scores_chosen", "scores_rejected")
"""Columns that tell the layouts of other tools, which are read row by row."""
SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class PlainScores:
    """Scores of one batch by their ids (chosen and rejected ones apart, where a row has both) and
    by prompts and responses; the models named; the number of rows."""

    by_id: Sequence[tuple[pa.Array, pa.Array]]
    by_texts: Sequence[tuple[pa.Array, pa.Array, pa.Array]]
    models: Sequence[str]
    rows: int


def read_plain_scores(
    source: RowFiles,
    fields: Mapping[str, str | None],
    by: str,
    layout: str,
    form: str,
    wanted: Mapping[str, Set[str]],
) -> Iterator[PlainScores]:
    """Yield the scores of plain files; raise ``NotPlain`` where rows must be read one by one:
    nested names, missing values, scores that are not numbers, texts that are not plain."""
    columns = ScoreColumns(fields, by)
    types = columns.types() | {name: pa.string() for name in wanted if name not in columns.types()}
    _need(not fields["side"] and layout in ("auto", "scores") and columns.differ())
    _need(not any("." in name or name in LAYOUT_COLUMNS for name in types))
    others = dict.fromkeys(LAYOUT_COLUMNS, pa.null()) if layout == "auto" else {}
    for batch in source.plain_columns(types | others):
        _need(not any(name in batch.schema.names for name in others))
        yield columns.scores(_wanted_rows(batch, wanted), form)


def _need(condition: bool) -> None:
    if not condition:
        raise NotPlain("the rows must be read one by one")


def _wanted_rows(batch: pa.RecordBatch, wanted: Mapping[str, Set[str]]) -> pa.RecordBatch:
    """Return the rows with the wanted values; all must have a value."""
    for name, values in wanted.items():
        _need(_is_whole(batch, name) and pa.types.is_string(batch.schema.field(name).type))
        allowed = pa.array(sorted(values), pa.string())
        batch = batch.filter(pc.is_in(pc.utf8_trim_whitespace(batch.column(name)), allowed))
    return batch


def _is_whole(batch: pa.RecordBatch, name: str) -> bool:
    """Check whether a column exists and has no nulls."""
    return name in batch.schema.names and not batch.column(name).null_count


@dataclass(frozen=True)
class ScoreColumns:
    """The columns to read, by the fields of a spec and by what responses are looked up by."""

    fields: Mapping[str, str | None]
    by: str

    def named(self, field: str) -> str:
        """Return the column of a field: as named, else of the same name."""
        return self.fields[field] or field

    @property
    def scored(self) -> dict[str, str]:
        """The columns of scores, by the side of a pair they are of; one without a side."""
        sides = {side: self.fields[side] or "" for side in SIDES if self.fields[side]}
        return sides or {"": self.named("score")}

    @property
    def keys(self) -> list[str]:
        """The fields that responses are looked up by."""
        if "" not in self.scored:
            return ["id"]
        by = {"id": ["id"], "text": ["prompt", "response"]}
        return by.get(self.by, ["id", "prompt", "response"])

    def types(self) -> dict[str, pa.DataType]:
        """Return the columns to read with their types."""
        texts = [self.named(field) for field in (*self.keys, "model")]
        return dict.fromkeys(texts, pa.string()) | dict.fromkeys(self.scored.values(), pa.float64())

    def differ(self) -> bool:
        """Check whether every column has a single meaning."""
        return len(self.types()) == len(self.keys) + 1 + len(self.scored)

    def scores(self, batch: pa.RecordBatch, form: str) -> PlainScores:
        """Return the scores of a batch; every row must have what it is looked up by."""
        there = {f: self.named(f) for f in self.keys if self.named(f) in batch.schema.names}
        needed = (*self.scored.values(), *there.values())
        _need(all(_is_whole(batch, name) for name in needed))
        _need(not any(self.fields[field] for field in self.keys if field not in there))
        column = {field: batch.column(name) for field, name in there.items()}
        by_id, by_texts = self._by_id(batch, column), self._by_texts(batch, column, form)
        _need(bool(by_id or by_texts))
        return PlainScores(by_id, by_texts, self._models(batch), batch.num_rows)

    def _by_id(
        self, batch: pa.RecordBatch, column: Mapping[str, pa.Array]
    ) -> Sequence[tuple[pa.Array, pa.Array]]:
        """Return ids with scores; none where the rows have no ids, and need none."""
        if "id" not in column:
            _need(self.keys != ["id"])
            return ()
        _need(not pc.any(pc.equal(column["id"], "")).as_py())
        return [
            (_with_side(column["id"], side), batch.column(name))
            for side, name in self.scored.items()
        ]

    def _by_texts(
        self, batch: pa.RecordBatch, column: Mapping[str, pa.Array], form: str
    ) -> Sequence[tuple[pa.Array, pa.Array, pa.Array]]:
        """Return prompts, responses and scores; nothing where the rows have no texts, and need
        none."""
        if "response" not in column:
            _need(self.by != "text" or "response" not in self.keys)
            return ()
        _need("prompt" in column)
        prompts, responses = column["prompt"], column["response"]
        _need(_are_plain(prompts, form) and _are_plain(responses, form))
        return [(prompts, responses, batch.column(self.named("score")))]

    def _models(self, batch: pa.RecordBatch) -> Sequence[str]:
        if self.named("model") not in batch.schema.names:
            return ()
        models: list[str] = pc.drop_null(batch.column(self.named("model"))).unique().to_pylist()
        return models


def _with_side(ids: pa.Array, side: str) -> pa.Array:
    return pc.binary_join_element_wise(ids, side, "/") if side else ids


def _are_plain(texts: pa.Array, form: str) -> bool:
    """Check whether every text is taken unchanged in this form, not as a transcript or as JSON."""
    if form == "text":
        return True
    beginning = {"auto": "\n\nHuman:", "messages": "["}.get(form, "")
    trimmed = pc.utf8_ltrim_whitespace(texts) if form == "messages" else texts
    return pc.any(pc.starts_with(trimmed, beginning)).as_py() is not True
