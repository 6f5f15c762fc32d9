"""The run of one step by itself, and a registry without discovery."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from rmplug._kinds.registry import Provider, Registry
from rmplug._kinds.signatures import signature_of
from rmplug._run import core_kinds
from rmplug._run.local_engine import Local
from rmplug._run.reuse import Reuse
from rmplug._run.run_log import RunLog
from rmplug._run.scope import Handle, Scope
from rmplug._run.session import Session
from rmplug._run.workers import Workers
from rmplug._spec.graph import Node
from rmplug._store.store import Store
from rmplug.artifacts import Artifact, Folder, RewardModel, Tabular
from rmplug.errors import RmplugError
from rmplug.families import Engine, Step
from rmplug.known import Known, Ref

if TYPE_CHECKING:
    import pyarrow as pa


def registry_of(*modules: ModuleType | object) -> Registry:
    """Return the core's kinds and those of these modules, with discovery off; a fault raises."""
    registry = Registry()
    registry.add("core", core_kinds)
    for module in modules:
        registry.add(getattr(module, "__name__", str(module)), module)
    if registry.failed:
        raise RmplugError("; ".join(f"{p.name}: {p.problem}" for p in registry.failed))
    return registry


def run_step(
    step: Step,
    inputs: Mapping[str, Artifact | Sequence[Artifact]],
    folder: Path,
    *,
    seed: int = 0,
    workers: int = 1,
    shard_rows: int = 8192,
    engine: Engine | None = None,
) -> Artifact:
    """Run one step on given inputs, through the store and the engine as in a real run.

    A second call in the same folder with an equal step, equal tables, and a model of the same
    origin (or name, where it has no origin), gives the first result again, or goes on where the
    first stopped.

    Worker processes stay for the next step with as many, so that they import libraries once. An
    ``engine`` that is given is closed.
    """
    provider = Provider(step.kind, "tested", "tested", "0", type(step))
    registry = Registry(providers={step.kind: [provider]})
    store = Store(folder)
    store.prepare()
    with _closed(engine) if engine else _local(workers, shard_rows) as used:
        used.prepare(store)
        session = Session("test", seed, registry, used, RunLog(store), Reuse(store))
        return _run_in(session, provider, step, inputs)


def _run_in(
    session: Session,
    provider: Provider,
    step: Step,
    inputs: Mapping[str, Artifact | Sequence[Artifact]],
) -> Artifact:
    scope = Scope()
    refs: dict[str, tuple[Ref, ...]] = {}
    lists = frozenset(
        name for name, artifacts in inputs.items() if not isinstance(artifacts, Artifact)
    )
    for name, artifacts in inputs.items():
        refs[name] = tuple(
            _put(session, scope, artifact, named) for named, artifact in as_named(name, artifacts)
        )
    gives = Known(signature_of(type(step)).gives)
    node = Node("tested", provider, step.model_dump(), step, refs, lists, {}, gives)
    session.run_node(node, scope)
    return session.results.load(scope.handles["tested"], Ref("tested"))


_waiting: dict[tuple[object, ...], Workers] = {}
"""The processes that wait for the next step, by what they were started with."""


@contextmanager
def _local(workers: int, shard_rows: int) -> Iterator[Engine]:
    """Give the engine ``local``, with the processes that wait if they were started in the same
    folder, with the same paths and variables; close all others."""
    test = "PYTEST_CURRENT_TEST"
    variables = sorted(entry for entry in os.environ.items() if entry[0] != test)
    started_with = (workers, Path.cwd(), *sys.path, *variables)
    engine = Local(workers=workers, shard_rows=shard_rows, least_seconds=0)
    engine._workers = _waiting.pop(started_with, None)
    try:
        yield engine
    finally:
        if engine._workers is not None:  # none after an error in one of them
            while _waiting:
                _waiting.popitem()[1].close()
            _waiting[started_with] = engine._workers


@contextmanager
def _closed(engine: Engine) -> Iterator[Engine]:
    """Close an engine at the end, as a run does."""
    try:
        yield engine
    finally:
        engine.close()


def as_named(name: str, artifacts: Artifact | Sequence[Artifact]) -> Iterator[tuple[str, Artifact]]:
    """Yield what an input of this name is given, each with its own name or one made of it."""
    several = [artifacts] if isinstance(artifacts, Artifact) else artifacts
    for number, artifact in enumerate(several):
        yield artifact.name or f"{name}{number or ''}", artifact


def _put(session: Session, scope: Scope, artifact: Artifact, name: str) -> Ref:
    key = f"given-{name}-{hashlib.blake2b(_content(artifact), digest_size=16).hexdigest()}"
    if isinstance(artifact, Tabular):
        scope.handles[name] = session.results.keep(key, type(artifact), "given", artifact.table)
    else:
        scope.handles[name] = Handle(key, type(artifact), artifact)
    return Ref(name)


def _content(artifact: Artifact) -> bytes:
    """Return what an artifact is known by: the content of a table, the path of a folder, the origin
    of a model. Anything else is known by its own name, or is another each time."""
    if isinstance(artifact, Tabular):
        return _bytes_of(artifact.table)
    if isinstance(artifact, Folder):
        return os.fsencode(artifact.directory.resolve())
    origin = artifact.origin() if isinstance(artifact, RewardModel) else None
    if origin is not None:
        return repr(origin).encode()
    return artifact.name.encode() or os.urandom(16)


def _bytes_of(table: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return cast(bytes, sink.getvalue().to_pybytes())
