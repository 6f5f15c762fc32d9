"""Runs loops: each item or round is a run of its own in the same store."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from rmplug._kinds.loops import ITEM, ForEach, Repeat
from rmplug._spec.graph import Graph, Node
from rmplug.errors import RmplugError, StepError, StoreError, WorkerDied, add_place, some
from rmplug.families import Composite, Engine, ModelLoader
from rmplug.notices import Notice, merged
from rmplug.records import StepRecord, Usage

from .loop_items import Item, items_of
from .loop_results import collect, loop_handle, make_errors_table
from .results import Results
from .run_log import RunLog
from .scope import Handle, Scope


class Runs(Protocol):
    """The runner of the steps inside a loop: the session that runs the loop itself."""

    engine: Engine

    def for_items(self, engine: Engine | None = None) -> Runs:
        """The same for items, without a record and observers; picklable."""
        ...

    def run(
        self,
        graph: Graph,
        scope: Scope,
        selected: Collection[str],
        passing: Collection[str],
        note: Callable[[StepRecord], None] = ...,
    ) -> None:
        """Run the selected steps of a graph, adding what they give to the scope."""
        ...

    def is_done(self, graph: Graph, scope: Scope, selected: Collection[str]) -> bool:
        """Check whether every selected step has a result in the store that may be used."""
        ...


@dataclass
class Outcome:
    """The outcome of one item: its status, and what it gave."""

    item: str
    status: str = "reused"
    seconds: float = 0.0
    message: str = ""
    results: dict[str, Handle] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)
    notices: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    def note(self, record: StepRecord) -> None:
        """Add a step of the item that has ended."""
        if record.status != "reused" and record.family != ModelLoader.family:
            self.status = "done"
        self.usage.include(record)
        if record.status == "rebuilt":
            self.message = f"{record.id}: {record.message}"
        if record.artifact:
            self.artifacts.append(record.artifact)
            self.steps[record.id] = record.artifact
        self.artifacts.extend(record.results.values())
        for inner in record.items:
            self.artifacts.extend(inner["artifacts"])
        self.notices[record.artifact or f"{self.item}/{record.id}"] = record.notices

    def as_entry(self) -> dict[str, Any]:
        """The entry under ``items`` in the record of the loop."""
        return {
            "item": self.item,
            "status": self.status,
            "seconds": self.seconds,
            "artifacts": list(dict.fromkeys(self.artifacts)),
            "steps": self.steps,
            "message": self.message,
        }


@dataclass(frozen=True)
class ItemWork:
    """Runs the steps of a loop for one item; sent to workers."""

    runs: Runs
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
            self.runs.run(self.body, scope, needed, passing, outcome.note)
            outcome.results = {name: scope.result(name) for name in self.wanted}
        except Exception as error:
            self._failed(outcome, error)
        outcome.seconds = round(time.monotonic() - started, 3)
        return outcome

    def is_done(self, item: Item) -> bool:
        """Check whether an item's results are in the store; one that is wrong has work to do."""
        scope = self.scope.inner(self.body.outer, item.handles)
        try:
            return self.runs.is_done(self.body, scope, self.body.needed(self.wanted))
        except RmplugError:
            return False

    @staticmethod
    def died(item: Item, error: WorkerDied) -> Outcome:
        """Return the outcome of an item whose process died."""
        keys = [handle.key for handle in item.handles.values()]
        return Outcome(item.name, "failed", message=str(error), artifacts=keys)

    def _failed(self, outcome: Outcome, error: Exception) -> None:
        """Go on without the item where that was asked for; a store that fails would fail again."""
        known = isinstance(error, RmplugError)
        if isinstance(error, StoreError):
            raise StoreError(f"item {outcome.item}: {error}") from error
        if not self.keep_going:
            if known:
                raise StepError(f"item {outcome.item}: {error}") from error
            add_place(error, f"item {outcome.item}")
            raise error
        outcome.status = "failed"
        outcome.message = str(error) if known else "".join(traceback.format_exception(error))


@dataclass(frozen=True)
class LoopRun:
    """One loop at work: what it takes, its record, and who runs the steps inside."""

    node: Node
    step: Composite
    scope: Scope
    record: StepRecord
    results: Results
    log: RunLog
    runs: Runs

    def run(self) -> Handle:
        """Run every item or round; gives a handle with the results of the loop."""
        if isinstance(self.step, ForEach):
            results = self._run_items(self.step)
        else:
            assert isinstance(self.step, Repeat)
            results = self._run_rounds(self.step)
        reused = all(entry["status"] == "reused" for entry in self.record.items)
        self.record.status = "reused" if reused else "done"
        self.record.results = {name: handle.key for name, handle in results.items()}
        return loop_handle(self.node, results)

    def _run_items(self, step: ForEach) -> dict[str, Handle]:
        items = items_of(self.results, self.node, step, self.scope)
        work = self._work(self.runs.for_items(), step.collect, step.on_error != "stop")
        outcomes: dict[int, Outcome] = {}
        self.log.tell("step_progress", self.record, 0, len(items))
        try:
            for item, outcome in self._outcomes(work, items):
                outcomes[item.index] = outcome
                self.log.tell("step_progress", self.record, len(outcomes), len(items))
        finally:
            ordered = [outcomes[index] for index in sorted(outcomes)]
            self._note(ordered)
        return self._collect_items(step, ordered)

    def _outcomes(self, work: ItemWork, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Each item as it ends. Those whose results are there are done in this process, so that a
        loop without work starts no worker processes."""
        done = {item.index for item in items if work.is_done(item)}
        yield from ((item, work(item)) for item in items if item.index in done)
        left = [item for item in items if item.index not in done]
        if work.keep_going:
            yield from self._outlived(work, left)
        else:
            yield from self.runs.engine.map(work, left)

    def _outlived(self, work: ItemWork, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Each item as it ends, also those whose processes die. Which one it was is found by doing
        those that were next one at a time, until one dies alone."""
        left, alone = {item.index: item for item in items}, False
        while left:
            these = list(left.values())[: 1 if alone else None]
            try:
                for item, outcome in self.runs.engine.map(work, these):
                    del left[item.index]
                    yield item, outcome
            except WorkerDied as error:
                if alone:
                    yield these[0], work.died(left.pop(these[0].index), error)
                alone = not alone

    def _work(self, runs: Runs, wanted: tuple[str, ...], keep_going: bool) -> ItemWork:
        body = self.node.body
        assert body is not None
        return ItemWork(runs, body, self.scope.inner(body.outer, {}), wanted, keep_going)

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        """Add how each item went to the record, and what the steps inside noticed, once for each
        result."""
        record = self.record
        record.items = [outcome.as_entry() for outcome in outcomes]
        by_result = {key: listed for o in outcomes for key, listed in o.notices.items()}
        notices = (Notice(**entry) for listed in by_result.values() for entry in listed)
        record.notices = [asdict(notice) for notice in merged(notices)]
        for outcome in outcomes:
            record.include(outcome.usage)
        anew = [f"item {o.item}: {o.message}" for o in outcomes if o.message and o.status == "done"]
        record.message = some(anew, 3, "; ")

    def _collect_items(self, step: ForEach, outcomes: Sequence[Outcome]) -> dict[str, Handle]:
        failed = [outcome for outcome in outcomes if outcome.status == "failed"]
        good = [outcome for outcome in outcomes if outcome.status != "failed"]
        if not good:
            first = failed[0].message.strip().splitlines()[-1]
            raise StepError(f"all {len(failed)} items failed; the first: {first}")
        results = self._collect(step.collect, ITEM, good)
        if failed:
            names = [outcome.item for outcome in failed]
            self.record.message = f"{len(failed)} of {len(outcomes)} items failed: {some(names)}"
            notice = Notice("item failed", "dropped", len(names), names, "items")
            self.record.notices.append(asdict(notice))
        if step.on_error == "collect-error":
            rows = [(o.item, o.message) for o in failed]
            results["errors"] = make_errors_table(self.results, rows)
        return results

    def _run_rounds(self, step: Repeat) -> dict[str, Handle]:
        wanted = tuple(dict.fromkeys([*step.collect, *step.carry.values()]))
        work = self._work(self.runs.for_items(self.runs.engine), wanted, False)
        carried = {name: self.scope.at(refs[0]) for name, refs in self.node.inputs.items()}
        outcomes: list[Outcome] = []
        self.log.tell("step_progress", self.record, 0, step.rounds)
        try:
            for index in range(step.rounds):
                outcomes.append(work(Item(index, str(index + 1), carried)))
                work.scope.before.update(outcomes[-1].artifacts)
                carried = {name: outcomes[-1].results[given] for name, given in step.carry.items()}
                self.log.tell("step_progress", self.record, index + 1, step.rounds)
        finally:
            self._note(outcomes)
        return {**self._collect(step.collect, "round", outcomes), **carried}

    def _collect(
        self, names: Sequence[str], column: str, outcomes: Sequence[Outcome]
    ) -> dict[str, Handle]:
        return {
            name: collect(self.results, name, column, [(o.item, o.results[name]) for o in outcomes])
            for name in names
        }
