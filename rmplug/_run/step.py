"""Makes one result: calls the step's method and puts what it gives into the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rmplug._kinds.signatures import Input, signature_of
from rmplug._spec.graph import Node
from rmplug._store.files import guarded_plugin
from rmplug._store.fingerprint import Ingredients
from rmplug._store.run_records import peak_memory_mb
from rmplug._store.serialize import FILES, write_folder, write_table
from rmplug.artifacts import Artifact, Checkpoint, Folder, RewardModel, Tabular
from rmplug.data.odd_rows import OddRowsFilter
from rmplug.data.rows import Mapped, Stream
from rmplug.errors import PluginError
from rmplug.families import DatasetLoader, PlanView, Step
from rmplug.notices import collect_notices, merged
from rmplug.records import StepRecord

from .scope import Handle, ModelHandle
from .shards import compute_shards, shard_rows

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class Prepared:
    """A step with its inputs found and its fingerprint known; nothing has been done yet."""

    node: Node
    step: Step
    inputs: Mapping[str, tuple[Handle, ...]]
    seed: int
    ingredients: Ingredients
    key: str
    plan: PlanView | None


def make(session: Session, prepared: Prepared, told: StepRecord) -> None:
    """Do a step's work and commit the result."""
    supplied = _supplied(session, prepared)
    method = getattr(prepared.step, prepared.step.method)
    with guarded_plugin(f"make {prepared.key}"), collect_notices() as found:
        result = method(**arguments(session, prepared), **supplied)
        facts = _write(session, prepared, result, told)
    notices = merged([*found.values(), *facts.pop("notices", [])])
    told.notices = [asdict(notice) for notice in notices]
    told.peak_memory_mb = max(told.peak_memory_mb, peak_memory_mb())
    manifest = {
        "kind": prepared.node.provider.name,
        "fingerprint": prepared.key.rpartition("-")[2],
        "ingredients": prepared.ingredients,
        "notices": told.notices,
        **facts,
    }
    session.store.commit(prepared.key, manifest)


def load_model(session: Session, prepared: Prepared) -> Handle:
    """A reward model that will be loaded where it is used."""
    method = getattr(prepared.step, prepared.step.method)
    load = partial(method, **arguments(session, prepared))
    model = ModelHandle(prepared.key, load, prepared.node.id)
    return Handle(prepared.key, RewardModel, model)


def arguments(session: Session, prepared: Prepared) -> dict[str, Any]:
    """The inputs as artifacts, under the names that the method has for them."""
    found: dict[str, Any] = {}
    for entry in signature_of(prepared.node.provider.cls).inputs:
        if entry.name in prepared.inputs:
            handles, refs = prepared.inputs[entry.name], prepared.node.inputs[entry.name]
            loaded = [
                _fitting(entry, handle, session.load(handle, ref))
                for handle, ref in zip(handles, refs, strict=True)
            ]
            found[entry.name] = loaded if entry.many else loaded[0]
    return found


def _fitting(entry: Input, handle: Handle, artifact: Artifact) -> Artifact:
    """A checkpoint is a reward model where one is asked for."""
    if isinstance(artifact, Checkpoint) and not issubclass(Checkpoint, entry.types):
        return ModelHandle(handle.key, artifact.open, artifact.name)
    return artifact


def _supplied(session: Session, prepared: Prepared) -> dict[str, Any]:
    """What the core gives to a method that names it."""
    wanted = signature_of(prepared.node.provider.cls).supplied
    supplied: dict[str, Any] = {}
    if "seed" in wanted:
        supplied["seed"] = prepared.seed
    if "plan" in wanted:
        supplied["plan"] = prepared.plan
    if "directory" in wanted:
        supplied["directory"] = session.store.begin(prepared.key) / FILES
        supplied["directory"].mkdir()
    return supplied


def _write(session: Session, prepared: Prepared, result: Any, told: StepRecord) -> dict[str, Any]:
    """Put what the method gave into the store's folder for it; gives what to note of it."""
    gives = signature_of(prepared.node.provider.cls).gives
    if not isinstance(result, gives):
        names = " | ".join(kind.__name__ for kind in gives)
        raise PluginError(f"it gave {type(result).__name__} where {names} was promised")
    known = next(kind for kind in type(result).__mro__ if kind.__module__ == Artifact.__module__)
    facts: dict[str, Any] = {"type": known.__name__}
    if isinstance(result, Folder):
        folder = session.store.partial / prepared.key
        if result.directory != folder / FILES:
            raise PluginError("its files must be written into the directory that the core supplies")
        return {**facts, **write_folder(result, folder)}
    if not isinstance(result, Tabular):
        raise PluginError(f"{type(result).__name__} cannot be stored")
    if isinstance(result.rows, Mapped):
        facts |= _write_mapped(session, prepared, result.rows, told)
    else:
        facts |= _write_table(session, prepared, result, told)
    told.rows = facts["rows"] = sum(facts["parts"])
    return facts


def _write_mapped(
    session: Session, prepared: Prepared, rows: Mapped, told: StepRecord
) -> dict[str, Any]:
    cut = {"shard_rows": shard_rows(rows, session.engine), "rows": len(rows)}
    folder = session.store.begin(prepared.key, cut)

    def progress(done: int, total: int) -> None:
        session.tell("step_progress", told, done, total)

    shards = compute_shards(rows, folder, session.engine, progress)
    told.computed = shards.computed
    told.peak_memory_mb = max(told.peak_memory_mb, shards.peak_memory_mb)
    return {"parts": [shards.rows(n) for n in shards.numbers], "notices": shards.notices()}


def _write_table(
    session: Session, prepared: Prepared, result: Tabular, told: StepRecord
) -> dict[str, Any]:
    folder = session.store.begin(prepared.key)
    if isinstance(prepared.step, DatasetLoader):
        keep = OddRowsFilter(prepared.step.odd_rows)
        source = result.rows
        batches = source.tables() if isinstance(source, Stream) else iter([result.table])
        result = type(result)(Stream(keep(batch) for batch in batches), result.name)
    parts = []
    for count in write_table(result, folder, session.engine.shard_rows):
        parts.append(count)
        told.computed += count
        session.tell("step_progress", told, told.computed, None)
    return {"parts": parts}
