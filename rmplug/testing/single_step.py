"""The run of one step by itself, and a registry without discovery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from rmplug._kinds.registry import Provider, Registry
from rmplug._kinds.signatures import signature_of
from rmplug._run import core_kinds
from rmplug._run.local_engine import Local
from rmplug._run.reuse import Reuse
from rmplug._run.run_log import RunLog
from rmplug._run.scope import Handle, Scope
from rmplug._run.session import Session
from rmplug._spec.graph import Node
from rmplug._store.store import Store
from rmplug.artifacts import (
    Artifact,
    Tabular,
)
from rmplug.errors import RmplugError
from rmplug.families import Engine, Step
from rmplug.known import Known, Ref


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
    """Run one step on given inputs, through the store and the engine as in a real run."""
    provider = Provider(step.kind, "tested", "tested", "0", type(step))
    registry = Registry(providers={step.kind: [provider]})
    store = Store(folder)
    store.prepare()
    engine = engine or Local(workers=workers, shard_rows=shard_rows)
    session = Session("test", seed, registry, engine, RunLog(store), Reuse(store))
    scope = Scope()
    refs: dict[str, tuple[Ref, ...]] = {}
    lists = frozenset(
        name for name, artifacts in inputs.items() if not isinstance(artifacts, Artifact)
    )
    for name, artifacts in inputs.items():
        refs[name] = tuple(
            _put(session, scope, artifact, f"{name}{index or ''}")
            for index, artifact in enumerate(
                [artifacts] if isinstance(artifacts, Artifact) else artifacts
            )
        )
    gives = Known(signature_of(type(step)).gives)
    node = Node("tested", provider, step.model_dump(), step, refs, lists, {}, gives)
    try:
        session.run_node(node, scope)
    finally:
        engine.close()
    return session.results.load(scope.handles["tested"], Ref("tested"))


def _put(session: Session, scope: Scope, artifact: Artifact, name: str) -> Ref:
    name = artifact.name or name
    if isinstance(artifact, Tabular):
        key = f"given-{name}"
        scope.handles[name] = session.results.keep(key, type(artifact), "given", artifact.table)
    else:
        scope.handles[name] = Handle(f"given-{name}", type(artifact), artifact)
    return Ref(name)
