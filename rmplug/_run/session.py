"""The execution of a checked spec: each step once, every result kept by its fingerprint."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any

from rmplug._kinds.registry import Registry
from rmplug._kinds.signatures import signature_of
from rmplug._spec.graph import Graph, Node
from rmplug._store.fingerprint import Fingerprints, key_of
from rmplug.artifacts import Value
from rmplug.errors import DataError, RmplugError, StepError, StoreError, add_place
from rmplug.families import Composite, Engine, ModelLoader
from rmplug.known import Ref
from rmplug.records import SeenRows, StepRecord, artifacts_of

from .dry_run import has_work
from .going_on import Going
from .kept_at_start import KeptAtStart
from .local_engine import Local
from .loop import LoopRun
from .machine import measured
from .plan_view import identity_of, outline, plan_view
from .results import Results
from .reuse import Reuse
from .run_log import RunLog
from .scope import Handle, ModelHandle, Scope
from .step import Prepared, StepRun, load_model


class Session:
    """The state that runs graphs of one spec against one store."""

    def __init__(
        self,
        name: str,
        seed: int,
        registry: Registry,
        engine: Engine,
        log: RunLog,
        reuse: Reuse,
        fingerprints: Fingerprints | None = None,
    ) -> None:
        self.keep_going = False
        """Go on after a step that failed, with those that do not need it."""
        self.name = name
        self.seed = seed
        self.engine = engine
        self.log = log
        self.reuse = reuse
        self.fingerprints = fingerprints or Fingerprints()
        self.results = Results(registry, log.store, engine.shard_rows, log.note_problem)
        kept = log.store.kept
        keeps = engine.keep_scores and not kept.is_symlink()  # what is there may be anything
        self.kept = KeptAtStart(log.store) if keeps else None

    def for_items(self, engine: Engine | None = None) -> Session:
        """Return a session that runs the steps inside a loop, in this process or in a worker: it
        has no record and no observers and, without an engine of its own, starts no processes."""
        engine = engine or Local(workers=1, shard_rows=self.engine.shard_rows)
        log, registry = RunLog(self.log.store), self.results.registry
        reuse = replace(self.reuse, previous={})  # records tell only of steps outside loops
        session = Session(self.name, self.seed, registry, engine, log, reuse, self.fingerprints)
        session.kept = self.kept  # items see what this run saw, not what other items add
        return session

    def run(
        self,
        graph: Graph,
        scope: Scope,
        selected: Collection[str],
        passing: Collection[str],
        note: Callable[[StepRecord], None] = lambda _: None,
    ) -> None:
        """Run the selected steps in order and add their results to the scope. Models that
        ``passing`` names are released after their last use; ``note`` gets each step's record."""
        nodes = [node for node in graph.nodes.values() if node.id in selected]
        last_use = {ref.step: index for index, node in enumerate(nodes) for ref in node.refs()}
        expiring: dict[int, list[str]] = {}
        for index, node in enumerate(nodes):
            expiring.setdefault(max(index, last_use.get(node.id, index)), []).append(node.id)
        for name in set(passing) - {node.id for node in nodes}:
            expiring.setdefault(last_use.get(name, 0), []).append(name)
        going = Going(self.keep_going)
        try:
            for index, node in enumerate(nodes):
                record = going.run(node, partial(self.run_node, node, scope))
                if record is not None:
                    note(record)
                unused = [name for name in expiring.get(index, []) if name in passing]
                ModelHandle.forget(scope.named(unused))
        finally:
            self.log.note_not_run(going.not_run)
            ModelHandle.forget(scope.named(passing))
        going.finish()

    def is_done(self, graph: Graph, scope: Scope, selected: Collection[str]) -> bool:
        """Check whether every selected step has a result in the store that may be used."""
        return not has_work(self, graph, scope, set(selected))

    def run_node(self, node: Node, scope: Scope) -> StepRecord:
        """Run one step; an error is reported with the step's id."""
        record = self.log.begin(node.id, node.provider)
        started = time.monotonic()
        try:
            with measured(record):
                scope.handles[node.id] = self._result(node, scope, record)
            scope.plan[node.id] = outline(node, record)
            scope.before.update(artifacts_of(record))
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            record.status = "interrupted" if stopped else "failed"
            record.message = "" if stopped else str(error) or type(error).__name__
            if not isinstance(error, RmplugError):
                self._note_bug(error, node, record)
                raise
            base = StoreError if isinstance(error, StoreError) else StepError
            raise base(f"steps.{node.id} ({node.provider.kind}): {error}") from error
        finally:
            record.seconds = round(time.monotonic() - started, 3)
            if record.computed and record.seconds:
                record.rows_per_second = round(record.computed / record.seconds, 1)
            self.log.write()
            self.log.tell("step_finished", record)
        self._show_results(node.id, scope.handles[node.id], record)
        return record

    def _note_bug(self, error: BaseException, node: Node, record: StepRecord) -> None:
        if isinstance(error, Exception):
            add_place(error, f"steps.{node.id} ({node.provider.kind})")
            record.traceback = "".join(traceback.format_exception(error))

    def _show_results(self, step: str, handle: Handle, record: StepRecord) -> None:
        """Pass the step's stored results to the observers that look at results."""
        if handle.live is None:
            for ref in [Ref(step, name) for name in handle.results] or [Ref(step)]:
                load = partial(self.results.load, handle.at(ref.column), ref)
                self.log.show_result(record, load)

    def _result(self, node: Node, scope: Scope, record: StepRecord) -> Handle:
        if isinstance(node.step, Composite):
            self.log.write(now=True)
            return LoopRun(node, node.step, scope, record, self.results, self.log, self).run()
        prepared = self.prepare(node, scope)
        record.artifact = prepared.key
        record.inputs = {
            name: [h.key for h in handles] for name, handles in prepared.inputs.items()
        }
        if isinstance(prepared.step, ModelLoader):
            record.status = "done"
            return load_model(self.results, prepared)
        return replace(self._obtain(prepared, record, scope), loader=prepared.loader)

    def prepare(self, node: Node, scope: Scope) -> Prepared:
        """Determine inputs and fingerprint; the artifacts themselves need not exist yet."""
        signature = signature_of(node.provider.cls)
        values = {name: _value(scope.at(ref)) for name, ref in node.bound.items()}
        own = "seed" in node.provider.cls.model_fields
        seed = self.seed if own else values.pop("seed", self.seed)
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise DataError(f"a seed must be a whole number from 0 on, not {seed!r}")
        step = node.configured(values)
        inputs = {name: tuple(map(scope.at, refs)) for name, refs in node.inputs.items()}
        ingredients = self.fingerprints.of_step(node.provider, step)
        if "seed" in signature.supplied:
            ingredients["seed"] = seed
        ingredients["inputs"] = {
            name: [h.name for h in handles] for name, handles in inputs.items()
        }
        lists = [entry.name for entry in signature.inputs if entry.many and entry.name in inputs]
        ingredients["names"] = {n: [str(ref) for ref in node.inputs[n]] for n in lists}
        plan = None
        if "plan" in signature.supplied:
            plan = plan_view(self.name, self.seed, node, scope)
            ingredients["plan"] = identity_of(plan)
        key = key_of(node.provider.kind, ingredients)
        return Prepared(node, step, inputs, seed, ingredients, key, plan)

    def _obtain(self, prepared: Prepared, record: StepRecord, scope: Scope) -> Handle:
        """Return the step's result: from the store, or made now by one run at a time."""
        store = self.results.store
        if self.reuse.reason_to_run(prepared):
            with store.lock(prepared.key, lambda: self.log.note_waiting(record)):
                reason = self.reuse.reason_to_run(prepared)
                if reason:
                    damage = store.damage(prepared.key)
                    record.reason, record.status = reason, "running"
                    self.log.write(now=True)
                    kept = self._visible(prepared, scope)
                    StepRun(prepared, record, self.results, self.log, self.engine, kept).run()
                    record.status = "rebuilt" if damage else "done"
                    if damage:
                        record.message = (
                            f"the stored result was damaged ({damage}) and is made anew"
                        )
                    return self.results.handle_of(prepared.key)
        manifest = store.manifest(prepared.key)
        store.touch(prepared.key)
        record.status, record.rows = "reused", manifest.get("rows")
        record.notices = manifest.get("notices", [])
        record.checks = manifest.get("checks", [])
        record.seen = {name: SeenRows(**seen) for name, seen in manifest.get("seen", {}).items()}
        record.kept = manifest.get("kept", [])
        return self.results.handle_of(prepared.key)

    def _visible(self, prepared: Prepared, scope: Scope) -> frozenset[str] | None:
        """Return the sources of kept values that a step sees; None for a step that uses none: it
        takes no model, or it was asked for to be done again."""
        if self.kept is None or not prepared.takes_model or prepared.node.id in self.reuse.forced:
            return None
        return self.kept.sources() | scope.before


def _value(handle: Handle) -> Any:
    assert isinstance(handle.live, Value)
    return handle.live.value
