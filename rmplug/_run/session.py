"""Runs a checked spec: each step once, every result kept by its fingerprint."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from rmplug._kinds.registry import Registry
from rmplug._kinds.signatures import signature_of
from rmplug._spec.graph import Graph, Node, Ref
from rmplug._store.files import guarded
from rmplug._store.fingerprint import Fingerprints, difference, key_of, plugin_version
from rmplug._store.run_records import peak_memory_mb, write_record
from rmplug._store.serialize import column_of, read_artifact, write_table
from rmplug._store.store import Store
from rmplug.artifacts import Artifact, Checkpoint, Fit, Opens, Tabular, Value
from rmplug.errors import DataError, RmplugError, StepError, StoreError
from rmplug.families import Composite, Engine, ModelLoader, Observer, family_of
from rmplug.records import RunRecord, StepRecord

from .local_engine import Local
from .plan_view import identity_of, outline, plan_view
from .scope import Handle, ModelHandle, Scope
from .step import Prepared, load_model, make

if TYPE_CHECKING:
    import pyarrow as pa

    from rmplug.data.rows import Rows

MADE = (Fit.__name__, Checkpoint.__name__)


class Session:
    """Runs graphs against one store. ``record`` is what is told; workers have none."""

    def __init__(
        self,
        registry: Registry,
        store: Store,
        engine: Engine,
        name: str,
        seed: int,
        record: RunRecord | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.registry = registry
        self.store = store
        self.engine = engine
        self.name = name
        self.seed = seed
        self.record = record
        self.observers = tuple(observers)
        self.forced: frozenset[str] = frozenset()
        self.since = 0.0
        self.previous: Mapping[str, StepRecord] = {}
        self.fingerprints = Fingerprints()

    def for_worker(self, engine: Engine | None = None) -> Session:
        """A session that runs the steps inside a loop: it tells nobody and starts no processes."""
        engine = engine or Local(workers=1, shard_rows=self.engine.shard_rows)
        inner = Session(self.registry, self.store, engine, self.name, self.seed)
        inner.forced, inner.since = self.forced, self.since
        inner.fingerprints = self.fingerprints
        return inner

    def run(
        self,
        graph: Graph,
        scope: Scope,
        selected: Collection[str],
        passing: Collection[str],
        note: Callable[[StepRecord], None] = lambda _: None,
    ) -> None:
        """Run the selected steps in order, adding what they give to the scope. Models that
        ``passing`` names are let go of after their last use."""
        nodes = [node for node in graph.nodes.values() if node.id in selected]
        try:
            for place, node in enumerate(nodes):
                note(self.run_node(node, scope))
                later = {ref.step for after in nodes[place + 1 :] for ref in after.refs()}
                ModelHandle.forget(scope.named(set(passing) - later))
        finally:
            ModelHandle.forget(scope.named(passing))

    def run_node(self, node: Node, scope: Scope) -> StepRecord:
        """Run one step; whatever goes wrong with it is told with its id."""
        told = self._begin(node)
        started = time.monotonic()
        try:
            scope.handles[node.id] = self._result(node, scope, told)
            scope.plan[node.id] = outline(node, told)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            told.status = "interrupted" if stopped else "failed"
            told.message = "" if stopped else str(error) or type(error).__name__
            if not isinstance(error, RmplugError):
                raise
            kind = StoreError if isinstance(error, StoreError) else StepError
            raise kind(f"steps.{node.id} ({node.provider.kind}): {error}") from error
        finally:
            told.seconds = round(time.monotonic() - started, 3)
            told.peak_memory_mb = max(told.peak_memory_mb, peak_memory_mb())
            if told.computed and told.seconds:
                told.rows_per_second = round(told.computed / told.seconds, 1)
            self._write_record()
            self.tell("step_finished", told)
        self._show_results(node, scope.handles[node.id], told)
        return told

    def _show_results(self, node: Node, handle: Handle, told: StepRecord) -> None:
        """Give what the step has in the store to the observers that look at results."""
        watching = [o for o in self.observers if type(o).step_result is not Observer.step_result]
        for observer in watching if handle.live is None else ():
            for ref in [Ref(node.id, name) for name in handle.results] or [Ref(node.id)]:
                load = partial(self._result_of, handle.at(ref.column), ref, told)
                self._attempt(observer, "step_result", load)

    def _result_of(self, handle: Handle, ref: Ref, told: StepRecord) -> tuple[StepRecord, Artifact]:
        return told, self.load(handle, ref)

    def _result(self, node: Node, scope: Scope, told: StepRecord) -> Handle:
        if isinstance(node.step, Composite):
            from .loop import run_loop

            return run_loop(self, node, scope, told)
        prepared = self.prepare(node, scope)
        told.artifact = prepared.key
        told.inputs = {name: [h.key for h in found] for name, found in prepared.inputs.items()}
        if isinstance(prepared.step, ModelLoader):
            told.status = "done"
            return load_model(self, prepared)
        return self._obtain(prepared, told)

    def prepare(self, node: Node, scope: Scope) -> Prepared:
        """Find inputs and fingerprint; the artifacts themselves need not exist yet."""
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
        ingredients["inputs"] = {name: [h.name for h in found] for name, found in inputs.items()}
        lists = [entry.name for entry in signature.inputs if entry.many and entry.name in inputs]
        ingredients["names"] = {n: [str(ref) for ref in node.inputs[n]] for n in lists}
        plan = None
        if "plan" in signature.supplied:
            plan = plan_view(self.name, self.seed, node, scope)
            ingredients["plan"] = identity_of(plan)
        key = key_of(node.provider.kind, ingredients)
        return Prepared(node, step, inputs, seed, ingredients, key, plan)

    def _obtain(self, prepared: Prepared, told: StepRecord) -> Handle:
        """The step's result: as it stands in the store, or made now by one run at a time."""
        if self.lacking(prepared):
            with self.store.lock(prepared.key, lambda: self._tell_waiting(told)):
                why = self.lacking(prepared)
                if why:
                    damage = self.store.damage(prepared.key)
                    told.reason, told.status = why, "running"
                    self._write_record()
                    make(self, prepared, told)
                    told.status = "rebuilt" if damage else "done"
                    if damage:
                        told.message = f"the stored result was damaged ({damage}) and is made anew"
                    return self._handle(prepared.key)
        manifest = self.store.manifest(prepared.key)
        self.store.touch(prepared.key)
        told.status, told.rows = "reused", manifest.get("rows")
        told.notices = manifest["notices"]
        return self._handle(prepared.key)

    def lacking(self, prepared: Prepared) -> str:
        """Why a step has to be done: ``""`` if its result is there, whole, and may be used."""
        damage = self.store.damage(prepared.key)
        if damage:
            return f"the stored result is damaged: {damage}"
        if self.store.find(prepared.key) is None:
            return self._changed(prepared)
        if prepared.node.id in self.forced and self.store.made_at(prepared.key) < self.since:
            return "forced"
        return ""

    def _changed(self, prepared: Prepared) -> str:
        """Why there is no result of a step that an earlier run of this spec may have done."""
        before = self.previous.get(prepared.node.id)
        if before is None:
            return "not done before"
        if before.kind != prepared.node.provider.name:
            return f"kind: {before.kind} → {prepared.node.provider.name}"
        if before.artifact == prepared.key:
            return "its result is not in the store"
        with suppress(StoreError):
            old = self.store.manifest(before.artifact)["ingredients"]
            return difference(old, prepared.ingredients)
        return "the earlier result is not in the store"

    def _handle(self, key: str) -> Handle:
        from rmplug import artifacts

        return Handle(key, getattr(artifacts, self.store.manifest(key)["type"]))

    def load(self, handle: Handle, ref: Ref) -> Artifact:
        """The artifact behind a handle, named as the spec names it."""
        if handle.live is not None:
            return handle.live
        folder = self.store.find(handle.key)
        if folder is None:
            raise DataError(f"the result of {ref} is gone from the store; run again")
        manifest = self.store.manifest(handle.key)
        maker = self.registry.find(manifest["kind"]).cls if manifest["type"] in MADE else None
        opener = maker if maker is not None and issubclass(maker, Opens) else None
        name = ref.step if not ref.column or handle.column else str(ref)
        artifact = read_artifact(folder, manifest, name, opener)
        return column_of(artifact, handle.column) if handle.column else artifact

    def keep(self, key: str, kind: type[Artifact], what: str, table: pa.Table | Rows) -> Handle:
        """Put a table that no step gave (an item, the results of a loop) into the store."""
        if not self.has(key):
            with self.store.lock(key), guarded(f"make {key}"):
                if not self.has(key):
                    damage = self.store.damage(key)
                    if damage and self.record is not None:
                        self.record.problems.append(
                            f"{key} was damaged ({damage}) and is made anew"
                        )
                    folder = self.store.begin(key)
                    parts = list(write_table(Tabular(table), folder, self.engine.shard_rows))
                    facts = {"kind": what, "type": kind.__name__, "parts": parts}
                    more = {"rows": sum(parts), "notices": [], "ingredients": {}}
                    self.store.commit(key, {**facts, **more})
        self.store.touch(key)
        return Handle(key, kind)

    def has(self, key: str) -> bool:
        """Whether an artifact is in the store and whole."""
        return self.store.find(key) is not None and not self.store.damage(key)

    def _begin(self, node: Node) -> StepRecord:
        cls, version = node.provider.cls, plugin_version(node.provider)
        told = StepRecord(node.id, node.provider.name, family_of(cls).family, version, "running")
        if self.record is not None:
            self.record.steps[node.id] = told
        self.tell("step_started", told)
        return told

    def _tell_waiting(self, told: StepRecord) -> None:
        told.status = "waiting"
        told.message = "waited for another run that was making the same result"
        self._write_record()
        self.tell("step_progress", told, 0, None)

    def tell(self, event: str, *arguments: Any) -> None:
        """Tell the observers; one that fails is noted and cannot harm the run."""
        for observer in self.observers:
            self._attempt(observer, event, lambda: arguments)

    def _attempt(self, observer: Observer, event: str, what: Callable[[], Sequence[Any]]) -> None:
        try:
            getattr(observer, event)(*what())
        except Exception as error:
            problem = f"{observer.kind}: {event}: {type(error).__name__}: {error}"
            if self.record is not None and problem not in self.record.problems:
                self.record.problems.append(problem)

    def _write_record(self) -> None:
        """Write the record as far as the run is. One that cannot be written (a full disk) is no
        reason to stop: what the steps write will tell, and the last record must be written."""
        if self.record is not None:
            with suppress(StoreError):
                write_record(self.store, self.record)


def _value(handle: Handle) -> Any:
    assert isinstance(handle.live, Value)
    return handle.live.value
