"""The counterfactual table: responses, each followed by its changed copies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Pairs, Responses, RewardModel, notice
from rmplug.data.messages import message_type
from rmplug.errors import some

from ._changing import Bank, Changer, Subject, as_responses, copy_id, with_column, with_last_text
from .counterfactual_columns import COLUMNS, refusal
from .perturbations.changes import Change

BATCH = 64
"""Rows whose copies are made at once: there are about a hundred of each."""
TYPES = {"dose": pa.int64()}


def perturbed(
    data: Pairs | Responses,
    changes: Sequence[Change],
    generator: RewardModel | None,
    more: Sequence[Responses],
    prompts: int | None,
    seed: int,
) -> Iterator[pa.Table]:
    """Yield tables of originals and copies, at least one, all with the same columns."""
    empty = _with_copies(as_responses(data, data.rows.read(0, 0)), data, [])
    schema = _common_schema([empty, *(_checked(table).rows.read(0, 0) for table in more)])
    yield conform(empty, schema)
    _check_ids(data, changes)
    changer = Changer(Bank.of(data, seed), generator, seed)
    groups = drawn_groups(data, prompts, seed)
    seen: set[str] = set()
    for batch in data.batches(BATCH):
        table = _of_groups(as_responses(data, pa.Table.from_batches([batch])), groups)
        made = _perturbed_rows(table, data, changes, changer)
        if more:
            seen.update(made["id"].to_pylist())
        yield conform(made, schema)
    for other in more:
        yield from (conform(table, schema) for table in _unseen(other, groups, seen))


def _check_ids(data: Pairs | Responses, changes: Sequence[Change]) -> None:
    """Refuse originals whose ids are those of the copies of others."""
    ends = tuple(f"~{change.name}~{dose}" for change in changes for dose in change.doses)
    like = [name for name in _ids(data) if name.endswith(ends)]
    known = set(_ids(data)) if like else set()
    taken = [name for name in like if name.rsplit("~", 2)[0] in known]
    if taken:
        raise DataError(
            f"{len(taken)} ids in {data.name or 'the data'} are those of copies of other rows "
            f"({some(taken)}); give originals alone, or rename them"
        )


def _ids(data: Pairs | Responses) -> Iterator[str]:
    sides = ("/chosen", "/rejected") if isinstance(data, Pairs) else ("",)
    for chunk in data.chunks("id"):
        yield from (f"{name}{side}" for name in chunk.to_pylist() for side in sides)


def drawn_groups(data: Pairs | Responses, prompts: int | None, seed: int) -> pa.Array | None:
    """Draw some groups, by a hash of their names: whatever their order; None for all."""
    if prompts is None:
        return None
    names = {name or "" for chunk in data.chunks("group") for name in chunk.to_pylist()}
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed}\n{name}".encode()).digest())
    return pa.array(order[:prompts], pa.string())


def _of_groups(table: pa.Table, groups: pa.Array | None) -> pa.Table:
    if groups is None:
        return table
    return table.filter(pc.is_in(pc.fill_null(table["group"], ""), value_set=groups))


Copy = tuple[int, str, str, Change, int]
"""The row that was changed, the id of the copy, its text, and the change with its dose."""


def _perturbed_rows(
    table: pa.Table, data: Pairs | Responses, changes: Sequence[Change], changer: Changer
) -> pa.Table:
    subjects = changer.subjects(table)
    blank = [subject.identity for subject in subjects if not subject.row.response.strip()]
    notice("response without text: not changed", blank)
    changer.ask(changes, subjects)
    copies: list[Copy | int] = []
    for place, subject in enumerate(subjects):
        copies.append(place)
        copies += [(place, *made) for made in _copies_of(subject, changes, changer)]
    return _with_copies(table, data, copies)


def _copies_of(
    subject: Subject, changes: Sequence[Change], changer: Changer
) -> Iterator[tuple[str, str, Change, int]]:
    for change in changes:
        for dose in change.doses:
            text = changer.change(subject, change, dose)
            if text is not None:
                yield copy_id(subject.identity, change, dose), text, change, dose


def _with_copies(table: pa.Table, data: Pairs | Responses, rows: Sequence[Copy | int]) -> pa.Table:
    """Return rows of a table, by their place, and copies of them."""
    for name in COLUMNS:
        if name in table.column_names:
            raise DataError(refusal(data.name or "the data", name))
    ids, responses = table["id"].to_pylist(), table["response"].to_pylist()
    places = [row if isinstance(row, int) else row[0] for row in rows]
    facts: dict[str, list[Any]] = {name: [] for name in ("id", "response", *COLUMNS)}
    for row in rows:
        if isinstance(row, int):
            values = (ids[row], responses[row], ids[row], "", "", 0, "")
        else:
            place, name, text, change, dose = row
            messages = with_last_text(responses[place], text)
            kind = (change.name, change.theme, dose, change.intention)
            values = (name, messages, ids[place], *kind)
        for column, value in zip(facts.values(), values, strict=True):
            column.append(value)
    made = table.take(pa.array(places, pa.int64()))
    types = {"response": message_type(), **TYPES}
    for name, column in facts.items():
        made = with_column(made, name, pa.array(column, types.get(name, pa.string())))
    return made


def _checked(table: Responses) -> Responses:
    lacking = [name for name in COLUMNS if name not in table.columns]
    if lacking:
        raise DataError(
            f"{table.name or 'more'} has no column {lacking[0]!r}; give the result of variants or "
            "of another perturb"
        )
    return table


def _common_schema(tables: Sequence[pa.Table]) -> pa.Schema:
    try:
        return pa.unify_schemas([table.schema for table in tables], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"the tables of more have columns of other types: {error}") from error


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with the columns of a schema, missing ones empty."""
    return pa.table(
        {
            field.name: table[field.name].cast(field.type)
            if field.name in table.column_names
            else pa.nulls(table.num_rows, field.type)
            for field in schema
        },
        schema=schema,
    )


def _unseen(other: Responses, groups: pa.Array | None, seen: set[str]) -> Iterator[pa.Table]:
    """Yield the rows of another counterfactual table, of some groups, but originals that are there
    already. A copy whose id is taken, as that of a variant which is an original too, gets the id of
    a copy."""
    name = other.name or "more"
    for batch in other.batches():
        table = _of_groups(pa.Table.from_batches([batch]), groups)
        ids, rows, alone, twice = [], [], [], []
        for row, fact in enumerate(table.select(["id", *COLUMNS]).to_pylist()):
            own, original = fact["id"], fact["original"]
            if own == original and own in seen:
                continue
            if own != original and original not in seen:
                alone.append(own)
                continue
            unique = f"{original}~{fact['perturbation']}~{fact['dose']}" if own in seen else own
            if unique in seen:
                twice.append(own)
                continue
            seen.add(unique)
            ids.append(unique)
            rows.append(row)
        notice(f"copy in {name} without its original", alone, "dropped")
        notice(f"copy in {name} that is there already", twice, "dropped")
        yield with_column(table.take(pa.array(rows, pa.int64())), "id", pa.array(ids, pa.string()))
