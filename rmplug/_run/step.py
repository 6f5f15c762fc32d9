"""The execution of one step: its method called, its result written to the store."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from rmplug import artifacts
from rmplug._kinds.signatures import Input, signature_of
from rmplug._spec.graph import Node
from rmplug._store.files import guarded_plugin
from rmplug._store.fingerprint import Ingredients
from rmplug._store.kept import SNAPSHOT, Keeping, KeptView, publish, read_snapshot, write_snapshot
from rmplug._store.serialize import FILES, write_folder, write_table
from rmplug._store.store import KEPT
from rmplug.artifacts import Artifact, Checkpoint, Folder, Identified, RewardModel, Tabular
from rmplug.checks import collect_checks, merged_checks
from rmplug.data.odd_rows import OddRowsFilter
from rmplug.data.pandas_on_demand import keep_pandas_out
from rmplug.data.rows import Mapped, Stream
from rmplug.data.seen_texts import with_unique_ids
from rmplug.errors import PluginError
from rmplug.families import (
    DatasetLoader,
    Engine,
    Evaluator,
    ModelLoader,
    PlanView,
    Reporter,
    Step,
    Trainer,
)
from rmplug.notices import collect_notices, merged
from rmplug.records import StepRecord

from .lineage import SeenCounter, trainings_of
from .results import Results
from .run_log import RunLog
from .scope import Handle, ModelHandle, Training
from .shards import GroupWork, ShardCut, compute_shards, cut_shards

WORK = "work"
"""The folder, beside the files of a result in the making, that survives a kill."""


@dataclass(frozen=True)
class Prepared:
    """A step with its inputs resolved and its fingerprint computed; nothing has been executed
    yet."""

    node: Node
    step: Step
    inputs: Mapping[str, tuple[Handle, ...]]
    seed: int
    ingredients: Ingredients
    key: str
    plan: PlanView | None

    @property
    def takes_model(self) -> bool:
        """True if a model is among the inputs."""
        types = (handle.type for handle in chain(*self.inputs.values()))
        return any(issubclass(type, RewardModel | Checkpoint) for type in types)

    @property
    def trainings(self) -> tuple[Training, ...]:
        """The trainings of the models and fits behind the result."""
        return trainings_of(self.step, self.inputs)

    @property
    def loader(self) -> ModelLoader | None:
        """The step of the spec that loads the model which the result is or was trained on, if it
        is one."""
        if isinstance(self.step, ModelLoader):
            return self.step
        if not isinstance(self.step, Trainer):
            return None
        handles = self.inputs.get(self.step.trained_input) or chain(*self.inputs.values())
        loaders = [handle.loader for handle in handles if handle.loader is not None]
        alone = bool(loaders) and all(loader == loaders[0] for loader in loaders)
        return loaders[0] if alone else None


def load_model(results: Results, prepared: Prepared) -> Handle:
    """Return a reward model that is loaded where it is used."""
    method = getattr(prepared.step, prepared.step.method)
    load = partial(method, **_arguments(results, prepared))
    model = ModelHandle(prepared.key, load, prepared.node.id)
    trainings, loader = prepared.trainings, prepared.loader
    return Handle(prepared.key, RewardModel, model, trainings=trainings, loader=loader)


def _arguments(results: Results, prepared: Prepared) -> dict[str, Any]:
    """Return the inputs as artifacts, under the names of the method's parameters."""
    arguments: dict[str, Any] = {}
    for entry in signature_of(prepared.node.provider.cls).inputs:
        if entry.name in prepared.inputs:
            handles, refs = prepared.inputs[entry.name], prepared.node.inputs[entry.name]
            loaded = [
                _as_input(entry, handle, results.load(handle, ref))
                for handle, ref in zip(handles, refs, strict=True)
            ]
            arguments[entry.name] = loaded if entry.many else loaded[0]
    return arguments


def _as_input(entry: Input, handle: Handle, artifact: Artifact) -> Artifact:
    """Return a checkpoint as a reward model where the input asks for one; anything else as it
    is."""
    if isinstance(artifact, Checkpoint) and not issubclass(Checkpoint, entry.types):
        return ModelHandle(handle.key, artifact.open, artifact.name)
    return artifact


@dataclass(frozen=True)
class StepRun:
    """One step at work: its inputs in the store, its record, and the engine that computes its
    shards."""

    prepared: Prepared
    record: StepRecord
    results: Results
    log: RunLog
    engine: Engine
    visible: frozenset[str] | None = None
    """The sources of kept values that it sees; None if it neither sees nor adds any."""

    def run(self) -> None:
        """Do the step's work and commit the result."""
        keep_pandas_out()
        prepared, record = self.prepared, self.record
        counter = SeenCounter(self.results)
        asks = "seen" in signature_of(prepared.node.provider.cls).supplied
        if asks or isinstance(prepared.step, Evaluator | Reporter):
            record.seen = counter.count(prepared.inputs, prepared.node.inputs)
        supplied = self._supplied()
        method = getattr(prepared.step, prepared.step.method)
        with guarded_plugin(f"make {prepared.key}"), collect_notices() as noticed:
            with self._keeping() as keeping, collect_checks() as checked:
                result = method(**_arguments(self.results, prepared), **supplied)
                facts = self._write(result)
            self._publish(keeping)
        notices = merged([*noticed.values(), *facts.pop("notices", []), *counter.notices])
        record.notices = [asdict(notice) for notice in notices]
        checks = merged_checks([*checked.values(), *facts.pop("checks", [])])
        record.checks = [asdict(check) for check in checks]
        manifest = {
            "kind": prepared.node.provider.name,
            "fingerprint": prepared.key.rpartition("-")[2],
            "ingredients": prepared.ingredients,
            "notices": record.notices,
            "checks": record.checks,
            "trainings": [astuple(training) for training in prepared.trainings],
            "seen": {name: asdict(seen) for name, seen in record.seen.items()},
            "kept": record.kept,
            **facts,
        }
        shutil.rmtree(self.results.store.partial / prepared.key / WORK, ignore_errors=True)
        self.results.store.commit(prepared.key, manifest)

    def _keeping(self) -> AbstractContextManager[Keeping | None]:
        """Return the context of what the method asks of models in this process."""
        if self.visible is None:
            return nullcontext()
        return self._view(self.visible).in_use(self.record)

    def _view(self, visible: frozenset[str] | Path) -> KeptView:
        store = self.results.store
        shared = store if store.address else None
        return KeptView(store.kept, self.prepared.key, visible, shared)

    def _publish(self, keeping: Keeping | None) -> None:
        """Make visible to later steps what models gave in this one."""
        made = self.results.store.partial / self.prepared.key / KEPT
        if keeping is not None:
            keeping.write(made, "step")
            store = self.results.store
            store.share_kept(*publish(made, store.kept, self.prepared.key))
        shutil.rmtree(made, ignore_errors=True)

    def _supplied(self) -> dict[str, Any]:
        """Return the arguments that the core supplies to a method that names them."""
        wanted = signature_of(self.prepared.node.provider.cls).supplied
        supplied: dict[str, Any] = {}
        if "seed" in wanted:
            supplied["seed"] = self.prepared.seed
        if "plan" in wanted:
            supplied["plan"] = self._plan()
        if "seen" in wanted:
            supplied["seen"] = self.record.seen
        if "work" in wanted:
            supplied["work"] = self._begin_work()
        if "directory" in wanted:
            supplied["directory"] = self._begin_files(keep="work" in wanted)
        if "progress" in wanted:
            supplied["progress"] = self._tell
        return supplied

    def _begin_work(self) -> Path:
        """Return the folder that survives a kill, as an earlier attempt left it."""
        work = self.results.store.begin(self.prepared.key, {"keeps": WORK}) / WORK
        work.mkdir(exist_ok=True)
        return work

    def _begin_files(self, keep: bool) -> Path:
        """Return the empty folder for the files of the result."""
        store, key = self.results.store, self.prepared.key
        files = (store.partial / key if keep else store.begin(key)) / FILES
        if files.exists():
            shutil.rmtree(files)
        files.mkdir()
        return files

    def _tell(self, done: int, total: int | None = None, **numbers: float) -> None:
        """Tell observers how far the work is: a ``Progress``."""
        self.log.tell("step_progress", self.record, done, total)
        if numbers:
            self.log.tell("step_numbers", self.record, done, numbers)

    def _plan(self) -> PlanView | None:
        """Return the plan behind the inputs, with the rows that models have seen."""
        plan = self.prepared.plan
        if plan is None:
            return None
        measured = {name: seen for step in plan.steps for name, seen in step.seen.items()}
        return replace(plan, seen={**measured, **self.record.seen})

    def _write(self, result: Any) -> dict[str, Any]:
        """Write the method's result into its folder in the store; return facts for its manifest."""
        promised = signature_of(self.prepared.node.provider.cls).gives
        if not isinstance(result, promised):
            names = " | ".join(type.__name__ for type in promised)
            raise PluginError(f"it gave {type(result).__name__} where {names} was promised")
        facts: dict[str, Any] = {"type": _stored_type(type(result)).__name__}
        if isinstance(result, Folder):
            folder = self.results.store.partial / self.prepared.key
            if result.directory != folder / FILES:
                raise PluginError(
                    "its files must be written into the directory that the core supplies"
                )
            return {**facts, **write_folder(result, folder)}
        if not isinstance(result, Tabular):
            raise PluginError(f"{type(result).__name__} cannot be stored")
        if isinstance(result.rows, Mapped):
            facts |= self._write_shards(result.rows)
        else:
            facts |= self._write_table(result)
        self.record.rows = facts["rows"] = sum(facts["parts"])
        return facts

    def _write_shards(self, rows: Mapped) -> dict[str, Any]:
        """Compute row-wise work, committed shard by shard."""
        cut = cut_shards(rows, self.engine)
        folder = self.results.store.begin(self.prepared.key, asdict(cut))

        def progress(done: int, total: int) -> None:
            self.log.tell("step_progress", self.record, done, total)

        store = self.results.store
        shared = store if store.address else None
        work = GroupWork(rows, folder, cut, self._kept_by_shards(folder, cut), shared)
        shards = compute_shards(work, self.engine, progress)
        self.record.computed = shards.computed
        self.record.include(shards.usage)
        parts = [cut.rows(shard) for shard in cut.shards]
        return {"parts": parts, "notices": shards.notices(), "checks": shards.checks()}

    def _kept_by_shards(self, folder: Path, cut: ShardCut) -> KeptView | None:
        """Return what workers see of kept values: after a kill, what they saw before."""
        if self.visible is None:
            return None
        store, snapshot = self.results.store, folder / KEPT / SNAPSHOT
        write_snapshot(snapshot, self.visible)
        store.share(folder.name, asdict(cut), [f"{KEPT}/{SNAPSHOT}"])
        return self._view(read_snapshot(snapshot) if store.address else snapshot)

    def _write_table(self, result: Tabular) -> dict[str, Any]:
        """Write a table part by part; odd rows of a loader are handled on the way."""
        folder = self.results.store.begin(self.prepared.key)
        if isinstance(self.prepared.step, DatasetLoader):
            keep = OddRowsFilter(self.prepared.step.odd_rows, type(result).required[1:])
            source = result.rows
            batches = source.tables() if isinstance(source, Stream) else iter([result.table])
            result = type(result)(Stream(keep(batch) for batch in batches), result.name)
        elif isinstance(result, Identified):
            result = type(result)(with_unique_ids(result.rows), result.name)
        parts = []
        for count in write_table(result, folder, self.engine.shard_rows):
            parts.append(count)
            self.record.computed += count
            self.log.tell("step_progress", self.record, self.record.computed, None)
        return {"parts": parts}


def _stored_type(type_: type[Artifact]) -> type[Artifact]:
    """Return the public artifact type under whose name a result is stored: a plugin may subclass
    it."""
    bases = (base for base in type_.__mro__ if getattr(artifacts, base.__name__, None) is base)
    stored: type[Artifact] = next(bases)
    return stored
