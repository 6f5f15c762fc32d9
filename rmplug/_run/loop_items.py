"""The items of a loop: plain values, several steps, or parts of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmplug._kinds.loops import ITEM, ForEach
from rmplug._spec.graph import Node
from rmplug._spec.loop_check import item_name
from rmplug._store.fingerprint import key_of
from rmplug.artifacts import Tabular, Value
from rmplug.errors import StepError
from rmplug.known import Ref

from .results import Results
from .scope import Handle, Scope


@dataclass(frozen=True)
class Item:
    """One item or round: its number from 0, its name, and what names inside the loop stand for."""

    index: int
    name: str
    handles: Mapping[str, Handle]


def items_of(
    results: Results, node: Node, step: ForEach, scope: Scope, store: bool = True
) -> list[Item]:
    """The items of a loop; without ``store``, nothing is written."""
    if step.values is not None:
        named = list(_values(step.values))
    else:
        named = list(_given_items(results, node, scope, store))
    return [Item(index, name, {ITEM: handle}) for index, (name, handle) in enumerate(named)]


def _values(values: Sequence[Any]) -> Iterator[tuple[str, Handle]]:
    for value in values:
        key = key_of("value", {"value": value})
        yield item_name(value), Handle(key, Value, Value(value, ITEM))


def _given_items(
    results: Results, node: Node, scope: Scope, store: bool
) -> Iterator[tuple[str, Handle]]:
    refs = node.inputs["items"]
    if "items" in node.lists:
        yield from ((str(ref), scope.at(ref)) for ref in refs)
    else:
        yield from _parts_of(results, refs[0], scope.at(refs[0]), store)


def _parts_of(
    results: Results, ref: Ref, handle: Handle, store: bool
) -> Iterator[tuple[str, Handle]]:
    """The parts of a table with the same ``item``, each an artifact of its own."""
    import pyarrow.compute as pc

    whole = results.load(handle, ref)
    if not isinstance(whole, Tabular) or ITEM not in whole.columns:
        raise StepError(f"{ref} has no column 'item' to make items of")
    labels = whole.table[ITEM]
    if labels.null_count or not len(labels):
        lack = f"{labels.null_count} rows without an item" if len(labels) else "no rows"
        raise StepError(f"{ref} has {lack}; every row must name the item it belongs to")
    for value in pc.unique(labels).to_pylist():
        key = key_of("item", {"of": handle.name, "item": value})
        if store:
            part = whole.table.filter(pc.equal(labels, value)).drop_columns([ITEM])
            results.keep(key, type(whole), "item", part, handle.trainings)
        yield str(value), Handle(key, type(whole), trainings=handle.trainings)
