"""References to results of a run: ``RUN:STEP``, and ``RUN:LOOP.STEP[ITEM]`` inside a loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rmplug._store.run_records import find_record
from rmplug._store.store import Store
from rmplug.errors import RmplugError, did_you_mean, some
from rmplug.families import ModelLoader
from rmplug.records import RunRecord, StepRecord


def stored_result(reference: str, store: Store) -> Path:
    """Return the folder of the result that a reference names, such as ``quickstart:model`` or
    ``quickstart:folds.linear[0]``; a run is named as for ``find_record``.

    Raises ``RmplugError`` where there is no such run, step or item, or no such result any more.
    """
    head, bracket, item = reference.partition("[")
    run, _, step = head.rpartition(":")
    record = find_record(store, run)
    key = key_of_step(record, step + bracket + item)
    folder = store.find(key)
    if folder is None:
        raise RmplugError(f"the result of {reference} is gone from the store; run the spec again")
    return folder


def key_of_step(record: RunRecord, name: str) -> str:
    """Return the name in the store of what a step gave: ``step``, ``loop.result``, or
    ``loop.step[item]`` for one item or round of a loop."""
    head, bracket, item = name.partition("[")
    first, _, inner = head.partition(".")
    step = record.steps.get(first)
    if step is None:
        hint = did_you_mean(first, record.steps)
        raise RmplugError(f"the run {record.id} has no step {first!r}{hint} ({_steps(record)})")
    if bracket:
        return _key_in_loop(step, inner, item.removesuffix("]"))
    if inner in step.results:
        return step.results[inner]
    if step.items:
        raise RmplugError(f"{first} is a loop: {_example(step, inner)}")
    if inner or not step.artifact:
        raise RmplugError(f"the step {first!r} of {record.id} has no result {inner or name!r}")
    if step.family == ModelLoader.family:
        raise RmplugError(f"{first!r} loads a model and keeps none; name that model itself")
    return step.artifact


def _key_in_loop(loop: StepRecord, inner: str, item: str) -> str:
    entries = {str(entry.get("item")): entry for entry in loop.items}
    if not entries:
        raise RmplugError(f"{loop.id!r} is no loop; leave out [{item}]")
    if item not in entries:
        hint = did_you_mean(item, entries)
        raise RmplugError(f"{loop.id} has no item {item!r}{hint} (items: {some(entries, 8)})")
    steps = _results(entries[item])
    if inner not in steps:
        hint = did_you_mean(inner, steps)
        raise RmplugError(
            f"no result {inner!r} of {loop.id}[{item}]{hint or '; ' + _example(loop, '')}"
        )
    return steps[inner]


def _results(entry: Any) -> dict[str, str]:
    """Return the results of an item's steps by name; records of older versions do not have them."""
    steps = entry.get("steps")
    return steps if isinstance(steps, dict) else {}


def _example(loop: StepRecord, inner: str) -> str:
    """Say how a result inside a loop is named."""
    first = loop.items[0]
    steps = _results(first)
    if not steps:
        return "its record does not say what its steps gave; run the spec again, all is reused"
    step = inner if inner in steps else next(iter(steps))
    items = some((str(entry.get("item")) for entry in loop.items), 8)
    return (
        f"name a step and an item, as in {loop.id}.{step}[{first.get('item')}] "
        f"(steps: {some(steps, 8)}; items: {items})"
    )


def _steps(record: RunRecord) -> str:
    return f"steps: {some(record.steps, 8)}"
