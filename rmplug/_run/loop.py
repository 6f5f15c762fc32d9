"""Runs loops: each item or round is a run of its own in the same store."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rmplug._kinds.loops import ITEM, ForEach, Repeat
from rmplug._spec.graph import Graph, Node, Ref
from rmplug._spec.loop_check import item_name
from rmplug._store.fingerprint import key_of
from rmplug.artifacts import Tabular, Value
from rmplug.errors import RmplugError, StepError, StoreError, some
from rmplug.notices import Notice, merged
from rmplug.records import StepRecord

from .loop_results import collected, errors_table, loop_handle
from .scope import Handle, Scope

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class Item:
    """One item or round: its place, its name, and what the names inside the loop stand for."""

    index: int
    name: str
    handles: Mapping[str, Handle]


@dataclass
class Outcome:
    """What one item came to."""

    item: str
    status: str = "reused"
    seconds: float = 0.0
    message: str = ""
    results: dict[str, Handle] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    notices: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    peak_memory_mb: float = 0.0

    def note(self, told: StepRecord) -> None:
        """One step of the item has ended."""
        if told.status != "reused" and told.family != "model loader":
            self.status = "done"
        self.peak_memory_mb = max(self.peak_memory_mb, told.peak_memory_mb)
        if told.status == "rebuilt":
            self.message = f"{told.id}: {told.message}"
        self.artifacts.extend(filter(None, [told.artifact]))
        self.artifacts.extend(told.results.values())
        for inner in told.items:
            self.artifacts.extend(inner["artifacts"])
        self.notices[told.artifact or f"{self.item}/{told.id}"] = told.notices

    def told(self) -> dict[str, Any]:
        return {
            "item": self.item,
            "status": self.status,
            "seconds": self.seconds,
            "artifacts": list(dict.fromkeys(self.artifacts)),
            "message": self.message,
        }


@dataclass(frozen=True)
class ItemWork:
    """Runs the steps of a loop for one item; sent to workers."""

    session: Session
    body: Graph
    scope: Scope
    wanted: tuple[str, ...]
    keep_going: bool

    def __call__(self, item: Item) -> Outcome:
        scope = self.scope.inner(self.body.outer, item.handles)
        outcome = Outcome(item.name, artifacts=[handle.key for handle in item.handles.values()])
        started = time.monotonic()
        passing = {name for own in item.handles for name in self.body.dependents(own)}
        try:
            needed = self.body.needed(self.wanted)
            self.session.run(self.body, scope, needed, passing, outcome.note)
            outcome.results = {name: scope.handles[name].at("") for name in self.wanted}
        except Exception as error:
            self._failed(outcome, error)
        outcome.seconds = round(time.monotonic() - started, 3)
        return outcome

    def _failed(self, outcome: Outcome, error: Exception) -> None:
        """Go on without the item where that was asked for; a store that fails would fail again."""
        known = isinstance(error, RmplugError)
        if isinstance(error, StoreError):
            raise StoreError(f"item {outcome.item}: {error}") from error
        if not self.keep_going:
            if known:
                raise StepError(f"item {outcome.item}: {error}") from error
            raise error
        outcome.status = "failed"
        outcome.message = str(error) if known else "".join(traceback.format_exception(error))


def run_loop(session: Session, node: Node, scope: Scope, told: StepRecord) -> Handle:
    """Run a loop; gives a handle with its results."""
    step = node.step
    if isinstance(step, ForEach):
        results = _run_for_each(session, node, step, scope, told)
    else:
        assert isinstance(step, Repeat)
        results = _run_repeat(session, node, step, scope, told)
    told.status = "reused" if all(e["status"] == "reused" for e in told.items) else "done"
    told.results = {name: handle.key for name, handle in results.items()}
    return loop_handle(node, results)


def _run_for_each(
    session: Session, node: Node, step: ForEach, scope: Scope, told: StepRecord
) -> dict[str, Handle]:
    assert node.body is not None
    items = items_of(session, node, step, scope)
    inner = scope.inner(node.body.outer, {})
    going = step.on_error != "stop"
    work = ItemWork(session.for_worker(), node.body, inner, step.collect, going)
    outcomes: dict[int, Outcome] = {}
    session.tell("step_progress", told, 0, len(items))
    try:
        for item, outcome in session.engine.map(work, items):
            outcomes[item.index] = outcome
            session.tell("step_progress", told, len(outcomes), len(items))
    finally:
        ordered = [outcomes[index] for index in sorted(outcomes)]
        _tell(told, ordered)
    return _for_each_results(session, step, ordered, told)


def _tell(told: StepRecord, outcomes: Sequence[Outcome]) -> None:
    """What the steps inside noticed, once for each result, and how each item went."""
    told.items = [outcome.told() for outcome in outcomes]
    found = {key: listed for outcome in outcomes for key, listed in outcome.notices.items()}
    notices = (Notice(**entry) for listed in found.values() for entry in listed)
    told.notices = [asdict(notice) for notice in merged(notices)]
    told.peak_memory_mb = max((o.peak_memory_mb for o in outcomes), default=0.0)
    anew = [f"item {o.item}: {o.message}" for o in outcomes if o.message and o.status == "done"]
    told.message = "; ".join(anew[:3]) + (f" and {len(anew) - 3} more" if len(anew) > 3 else "")


def _for_each_results(
    session: Session, step: ForEach, outcomes: Sequence[Outcome], told: StepRecord
) -> dict[str, Handle]:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    good = [outcome for outcome in outcomes if outcome.status != "failed"]
    if not good:
        first = failed[0].message.strip().splitlines()[-1]
        raise StepError(f"all {len(failed)} items failed; the first: {first}")
    results = {
        name: collected(session, name, ITEM, [(o.item, o.results[name]) for o in good])
        for name in step.collect
    }
    if failed:
        names = [outcome.item for outcome in failed]
        told.message = f"{len(failed)} of {len(outcomes)} items failed: {some(names)}"
        told.notices.append(asdict(Notice("item failed", "dropped", len(names), names, "items")))
    if step.on_error == "collect-error":
        results["errors"] = errors_table(session, [(o.item, o.message) for o in failed])
    return results


def _run_repeat(
    session: Session, node: Node, step: Repeat, scope: Scope, told: StepRecord
) -> dict[str, Handle]:
    assert node.body is not None
    wanted = tuple(dict.fromkeys([*step.collect, *step.carry.values()]))
    worker = session.for_worker(session.engine)
    work = ItemWork(worker, node.body, scope.inner(node.body.outer, {}), wanted, False)
    carried = {name: scope.at(refs[0]) for name, refs in node.inputs.items()}
    outcomes: list[Outcome] = []
    session.tell("step_progress", told, 0, step.rounds)
    try:
        for index in range(step.rounds):
            outcomes.append(work(Item(index, str(index + 1), carried)))
            carried = {name: outcomes[-1].results[given] for name, given in step.carry.items()}
            session.tell("step_progress", told, index + 1, step.rounds)
    finally:
        _tell(told, outcomes)
    results = {
        name: collected(session, name, "round", [(o.item, o.results[name]) for o in outcomes])
        for name in step.collect
    }
    return {**results, **carried}


def items_of(
    session: Session, node: Node, step: ForEach, scope: Scope, store: bool = True
) -> list[Item]:
    """The items of a loop; without ``store``, nothing is written."""
    named = [
        *(_values(step.values) if step.values is not None else _given(session, node, scope, store))
    ]
    return [Item(index, name, {ITEM: handle}) for index, (name, handle) in enumerate(named)]


def _values(values: Sequence[Any]) -> Iterator[tuple[str, Handle]]:
    for value in values:
        key = key_of("value", {"value": value})
        yield item_name(value), Handle(key, Value, Value(value, ITEM))


def _given(session: Session, node: Node, scope: Scope, store: bool) -> Iterator[tuple[str, Handle]]:
    refs = node.inputs["items"]
    if "items" in node.lists:
        yield from ((str(ref), scope.at(ref)) for ref in refs)
    else:
        yield from _parts_of(session, refs[0], scope.at(refs[0]), store)


def _parts_of(
    session: Session, ref: Ref, handle: Handle, store: bool
) -> Iterator[tuple[str, Handle]]:
    """The parts of a table with the same ``item``, each an artifact of its own."""
    import pyarrow.compute as pc

    whole = session.load(handle, ref)
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
            session.keep(key, type(whole), "item", part)
        yield str(value), Handle(key, type(whole))
