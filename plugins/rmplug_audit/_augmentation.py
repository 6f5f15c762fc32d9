"""Pairs with changed copies, as their intentions say who should win."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Pairs, RewardModel, notice
from rmplug.data.messages import message_type
from rmplug.data.sides import SIDES, responses_of

from ._changing import Bank, Changer, Subject, with_column, with_last_text
from .perturbations.changes import Change

if TYPE_CHECKING:
    from .augmenting import Augment

BATCH = 256
Messages = list[dict[str, str]]


class Added(NamedTuple):
    """A pair that is added: the row that it is made of, its id, its sides, the name of the change
    and its weight as a multiple of that of its row; None for the row itself."""

    row: int
    name: str
    chosen: Messages
    rejected: Messages
    origin: str = "original"
    weight: float | None = None


def augmented(
    step: Augment,
    data: Pairs,
    changes: Sequence[Change],
    generator: RewardModel | None,
    seed: int,
) -> Iterator[pa.Table]:
    """Yield tables of pairs, each followed by those added to it; at least one."""
    yield _with_added(data.rows.read(0, 0), [])
    changer = Changer(Bank.of(data, seed), generator, seed)
    for batch in data.batches(BATCH):
        table = pa.Table.from_batches([batch])
        subjects = changer.subjects(responses_of(table))
        changer.ask(changes, subjects)
        rows, few = [], []
        for row, pair in enumerate(table.select(["id", *SIDES]).to_pylist()):
            own, sides = Added(row, *pair.values()), subjects[2 * row : 2 * row + 2]
            drawn = list(_drawn(changes, sides, changer, step.copies, f"{seed}\n{own.name}"))
            rows.append(own)
            for change, dose, texts in drawn:
                rows += _pairs_with(step, own, change, dose, texts)
            few += [] if len(drawn) == step.copies else [own.name]
        notice(f"fewer than {step.copies} changes apply", few)
        yield _with_added(table, rows)


Drawn = tuple[Change, int, "tuple[str | None, str | None]"]


def _drawn(
    changes: Sequence[Change], sides: Sequence[Subject], changer: Changer, copies: int, key: str
) -> Iterator[Drawn]:
    """Draw changes that apply to at least one side, with the changed texts: each at one dose of
    those at which it does, and again at another one only after all others."""
    order = list(changes)
    random = Random(key)
    random.shuffle(order)
    left = {change.name: random.sample(change.doses, len(change.doses)) for change in order}
    while any(left.values()):
        for change in order:
            while left[change.name]:
                dose = left[change.name].pop(0)
                chosen, rejected = (changer.try_change(side, change, dose).text for side in sides)
                if chosen is not None or rejected is not None:
                    yield change, dose, (chosen, rejected)
                    copies -= 1
                    break
            if not copies:
                return


def _pairs_with(
    step: Augment, own: Added, change: Change, dose: int, texts: tuple[str | None, str | None]
) -> Iterator[Added]:
    """Make the pairs of one change."""
    sides = (own.chosen, own.rejected)
    copies = [
        None if text is None else with_last_text(side, text)
        for side, text in zip(sides, texts, strict=True)
    ]
    named = f"{own.name}~{change.name}~{dose}"
    for number, (better, worse, share) in enumerate(_won(step, change, sides, copies), 1):
        name, weight = f"{named}/{number}", step.weight * share
        yield Added(own.row, name, better, worse, change.name, weight)


def _won(
    step: Augment,
    change: Change,
    sides: Sequence[Messages],
    copies: Sequence[Messages | None],
) -> Iterator[tuple[Messages, Messages, float]]:
    """Yield what wins, what loses, and the share of the weight."""
    if change.intention == "keeps" and step.keeps != "ties":
        if copies[1] is not None:
            yield sides[0], copies[1], 1.0
        if copies[0] is not None:
            yield copies[0], sides[1], 1.0
    for side, copy in zip(sides, copies, strict=True):
        if copy is None:
            continue
        if change.intention == "worsens":
            yield side, copy, 1.0
        elif change.intention == "improves":
            yield copy, side, 1.0
        elif step.keeps != "wins":
            yield side, copy, 0.5
            yield copy, side, 0.5


def _with_added(table: pa.Table, rows: Sequence[Added]) -> pa.Table:
    made = table.take(pa.array([row.row for row in rows], pa.int64()))
    own = pa.array([row.weight is None for row in rows], pa.bool_())
    weights = pa.array([row.weight for row in rows], pa.float64())
    weights = pc.fill_null(weights, 1.0)
    if "weight" in table.column_names:
        weights = pc.multiply(weights, pc.fill_null(made["weight"].cast(pa.float64()), 1.0))
    columns: dict[str, Any] = {
        "id": pa.array([row.name for row in rows], pa.string()),
        "chosen": pa.array([row.chosen for row in rows], message_type()),
        "rejected": pa.array([row.rejected for row in rows], message_type()),
        "weight": weights,
        "origin": pa.array([row.origin for row in rows], pa.string()),
    }
    if "margin" in table.column_names:
        columns["margin"] = pc.if_else(own, made["margin"], pa.scalar(None, made["margin"].type))
    for name, column in columns.items():
        made = with_column(made, name, column)
    return made
