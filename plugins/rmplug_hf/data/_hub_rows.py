"""The conversion of batches of a data set into batches of pairs or responses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, notice
from rmplug.data.messages import message_type, prompt_groups
from rmplug.data.raw_texts import (
    MISSING,
    BadRow,
    Text,
    find,
    shown,
    split_pair,
    split_response,
    text_from,
)
from rmplug.errors import did_you_mean, some

if TYPE_CHECKING:
    from .hub import HubDataset

OPTIONAL = ("id", "group", "subset", "margin", "weight", "label", "model")
TEXTS = {"pairs": ("prompt", "chosen", "rejected"), "responses": ("prompt", "response")}
WORDS = {"pairs": ("group", "subset"), "responses": ("group", "subset", "model")}
NUMBERS = {"pairs": ("margin", "weight"), "responses": ()}
AS_IS = {"pairs": (), "responses": ("label",)}


@dataclass
class HubRowConverter:
    """A converter of a data set's rows into pairs or responses, by the fields of a step; counts
    rows that cannot be used."""

    step: HubDataset
    used: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """True once there are as many rows as wanted."""
        return self.step.limit is not None and self.used >= self.step.limit

    def table(self, batch: pa.Table, split: str) -> pa.Table:
        """Return the usable rows of a batch."""
        self._check_columns(batch)
        rows = _plain_rows(batch, sorted(self._heads(batch.column_names)))
        kept: list[int] = []
        converted: list[dict[str, Any]] = []
        for index, row in enumerate(rows):
            if self.full:
                break
            self.seen[split] += 1
            named = f"{split}:{self.seen[split]}"
            try:
                if row is None:
                    raise BadRow("not valid UTF-8")
                converted.append(self._row(row, named))
            except BadRow as fault:
                self._complain(named, fault)
                continue
            kept.append(index)
            self.used += 1
        if self.faults and self.step.bad_rows == "error":
            raise DataError(self._sentence())
        return self._built(converted, batch.take(pa.array(kept, pa.int64())), split)

    def finish(self) -> None:
        """Check, after the last row, that at least one could be used."""
        if not self.seen.total():
            raise DataError(f"{self.named}: there are no rows in {some(self.step.split)}")
        if not self.used:
            raise DataError(
                f"none of the {self.seen.total()} rows can be used: {some(self.faults)}"
            )

    @property
    def named(self) -> str:
        """The name of the data in messages."""
        return self.step.name or some(path.name for path in self.step.path or ())

    def _at(self, name: str) -> str:
        """Return the path of a field."""
        return getattr(self.step.fields, name) or name

    def _check_columns(self, batch: pa.Table) -> None:
        named = {name: at for name, at in self.step.fields.model_dump().items() if at is not None}
        rated = {f"ratings.{name}": at for name, at in self.step.ratings.items()}
        needed = {name: name for name in TEXTS[self.step.rows][1:]}
        for name, at in {**needed, **named, **rated}.items():
            if not _column_of(at, batch.column_names):
                raise DataError(
                    f"{self.named} has no column {at!r}{did_you_mean(at, batch.column_names)}; "
                    f"found: {some(batch.column_names, 20)}; say where it stands with "
                    f"fields: {{{name.partition('.')[0]}: NAME}}"
                )

    def _heads(self, columns: Sequence[str]) -> set[str]:
        """Return the columns that hold the fields of a row."""
        names = [*OPTIONAL, *TEXTS[self.step.rows]]
        paths = [*map(self._at, names), *self.step.ratings.values()]
        return {head for path in paths if (head := _column_of(path, columns))}

    def _row(self, row: Mapping[str, Any], default_id: str) -> dict[str, Any]:
        rows = self.step.rows
        prompt = self._prompt(row)
        answers = [self._text(row, name) for name in TEXTS[rows][1:]]
        split: Callable[..., tuple[Text, ...]] = split_pair if rows == "pairs" else split_response
        values: dict[str, Any] = dict(zip(TEXTS[rows], split(prompt, *answers), strict=True))
        identity = find(row, self._at("id"))
        values["id"] = default_id if identity is MISSING else _word(identity, "id")
        for name in WORDS[rows]:
            values[name] = _word(find(row, self._at(name)), name)
        for name in NUMBERS[rows]:
            values[name] = _number(find(row, self._at(name)), name)
        for name in AS_IS[rows]:
            values[name] = _or_none(find(row, self._at(name)))
        for name, path in self.step.ratings.items():
            values[f"ratings.{name}"] = _number(find(row, path), f"ratings.{name}")
        return values

    def _text(self, row: Mapping[str, Any], name: str) -> Text:
        """Return a field as text or messages."""
        value = _or_none(find(row, self._at(name)))
        return text_from(_turned(value), name, self.step.form)

    def _prompt(self, row: Mapping[str, Any]) -> Text | None:
        """Return the prompt, where the row has one of its own."""
        missing = _or_none(find(row, self._at("prompt"))) is None
        return None if missing else self._text(row, "prompt")

    def _complain(self, name: str, fault: BadRow) -> None:
        self.faults.append(f"{name}: {fault}")
        if self.step.bad_rows == "drop":
            notice(f"unusable row: {fault.reason}", [name], "dropped")

    def _sentence(self) -> str:
        return (
            f"{len(self.faults)} of the first {self.seen.total()} rows of {self.named} cannot be "
            f"used: {some(self.faults)}; set bad_rows: drop to leave such rows out"
        )

    def _built(self, rows: list[dict[str, Any]], batch: pa.Table, split: str) -> pa.Table:
        """Build a table of the fields, then the further columns of the batch."""
        kind = self.step.rows
        columns: dict[str, Any] = {"id": pa.array([row["id"] for row in rows], pa.string())}
        for name in TEXTS[kind]:
            columns[name] = _messages([row[name] for row in rows], name)
        present = self._present(batch.column_names)
        for name in WORDS[kind]:
            if name in present:
                columns[name] = pa.array([row[name] for row in rows], pa.string())
        for name in (*NUMBERS[kind], *(f"ratings.{rated}" for rated in self.step.ratings)):
            if name in present or name.startswith("ratings."):
                columns[name] = pa.array([row[name] for row in rows], pa.float64())
        if "label" in AS_IS[kind] and "label" in present:
            columns["label"] = _labels([row["label"] for row in rows], batch, self._at("label"))
        if "group" in columns:
            prompts = pa.chunked_array([columns["prompt"]])
            columns["group"] = pc.coalesce(columns["group"], prompt_groups(prompts))
        if len(self.step.split) > 1:
            columns["split"] = pa.array([split] * len(rows), pa.string())
        return pa.table(columns | self._further(batch, columns))

    def _present(self, columns: Sequence[str]) -> set[str]:
        return {name for name in OPTIONAL if _column_of(self._at(name), columns)}

    def _further(self, batch: pa.Table, core: Iterable[str]) -> dict[str, Any]:
        """Return all columns but those that hold a field, flat; one with a core column's name
        becomes ``data.<name>``."""
        names = ("id", *TEXTS[self.step.rows], *self._present(batch.column_names))
        taken = {self._at(name) for name in names} | set(self.step.ratings.values())
        kept = batch.select(
            [name for name in batch.column_names if name not in taken and _is_value(batch[name])]
        )
        while any(pa.types.is_struct(kind) for kind in kept.schema.types):
            kept = kept.flatten()
        inside = tuple(f"{path}." for path in taken)
        plain = [n for n in kept.column_names if n not in taken and not n.startswith(inside)]
        core = set(core)
        return {
            f"data.{name}" if name in core else name: plain_column(kept[name])
            for name in plain
            if _is_value(kept[name])
        }


def _plain_rows(batch: pa.Table, names: Sequence[str]) -> list[dict[str, Any] | None]:
    """Return the values of some columns of each row; None for a row with text that is not valid
    UTF-8 in any column, which the readers of files that ``datasets`` uses let pass."""
    if _is_valid(batch):
        return list(batch.select(names).to_pylist())
    rows = (batch.slice(number, 1) for number in range(batch.num_rows))
    return [row.select(names).to_pylist()[0] if _is_valid(row) else None for row in rows]


def _is_valid(table: pa.Table) -> bool:
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _column_of(path: str, columns: Sequence[str]) -> str:
    """Return the column that a dotted path begins with; empty if there is none."""
    parts = path.split(".")
    heads = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((head for head in heads if head in columns), "")


def _or_none(value: Any) -> Any:
    return None if value is MISSING else value


def _turned(value: Any) -> Any:
    """Turn a list of roles beside one of contents, as ``datasets`` has it, into messages."""
    if isinstance(value, dict) and value and all(isinstance(v, list) for v in value.values()):
        return [dict(zip(value, items, strict=True)) for items in zip(*value.values(), strict=True)]
    return value


def _word(value: Any, name: str) -> str | None:
    if value is MISSING or (value is None and name != "id"):
        return None
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        return str(value)
    raise BadRow(f"{name} is neither text nor a whole number", f"but {shown(value)}")


def _number(value: Any, name: str) -> float | None:
    if value is MISSING or value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRow(f"{name} is not a number", f"but {shown(value)}") from error


def _messages(values: Sequence[Text], name: str) -> pa.Array:
    role = "user" if name == "prompt" else "assistant"
    turns = [[{"role": role, "content": v}] if isinstance(v, str) else v for v in values]
    return pa.array(turns, message_type())


def _labels(values: Sequence[Any], batch: pa.Table, path: str) -> Any:
    """Cast labels to the type of their column, if it has one."""
    if path in batch.column_names and _is_value(batch[path]):
        return plain_column(batch[path])
    return pa.array([v if v is None or isinstance(v, str) else json.dumps(v) for v in values])


def _is_value(column: pa.ChunkedArray) -> bool:
    return not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type))


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers, booleans and texts unchanged; encode anything else as JSON text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return plain_column(column.cast(kind.value_type))
    if pa.types.is_integer(kind):
        return column.cast(pa.int64(), safe=False)
    if pa.types.is_floating(kind):
        return column.cast(pa.float64())
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_nested(kind):
        texts = [None if v is None else _json(v) for v in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    return column.cast(pa.string())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def conformed(table: pa.Table, schema: pa.Schema, named: str) -> pa.Table:
    """Cast a later batch of a stream to the columns and types of the first."""
    later = [name for name in table.column_names if name not in schema.names]
    if later:
        notice("column of later rows left out", later, "dropped")
    arrays = []
    for entry in schema:
        if entry.name not in table.column_names:
            arrays.append(pa.nulls(table.num_rows, entry.type))
            continue
        try:
            arrays.append(table[entry.name].cast(entry.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"the column {entry.name!r} of {named} is {entry.type} in the first rows and "
                f"{table[entry.name].type} in later ones; load it with streaming: false"
            ) from error
    return pa.table(arrays, schema=schema)
