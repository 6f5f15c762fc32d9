"""A run of a spec from start to end, for the command line and for Python."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import Registry, discover
from rmplug._spec.check import Spec, open_spec
from rmplug._spec.graph import Graph
from rmplug._store.gc import remove_unfinished
from rmplug._store.record_files import RECORD
from rmplug._store.run_records import PreviousSteps, live, new_record, write_record
from rmplug._store.store import Store
from rmplug._store.store_folder import open_store
from rmplug.errors import Problem, RmplugError, SpecError, StoreError, did_you_mean, some
from rmplug.families import Observer
from rmplug.records import RunRecord

from .dry_run import Planned, plan_graph
from .finished import Run
from .machine import describe_machine
from .progress import observers_for, tell_new_store
from .reuse import Reuse
from .run_log import RunLog
from .scope import Scope
from .session import Session

LAST_RUNS = 50
"""Runs among which one is looked for that was killed while it wrote."""


def choose(
    spec: Spec, only: Sequence[str] = (), start: str | None = None
) -> tuple[set[str], set[str]]:
    """Return the steps to run, and those of them that were asked for by name."""
    graph = spec.graph
    for name in [*only, *([start] if start else [])]:
        if name not in graph.nodes:
            hint = did_you_mean(name, graph.nodes)
            message = f"no step {name!r}{hint} (steps: {some(graph.nodes, 8)})"
            raise SpecError([Problem(message, file=spec.source.file)])
    asked = set(only) or set(graph.nodes)
    if start:
        asked = graph.dependents(start) & (graph.needed(only) if only else asked)
        if not asked:
            message = f"none of {some(only)} depends on {start!r}, so there is nothing to run"
            raise SpecError([Problem(message, file=spec.source.file)])
    return graph.needed(sorted(asked)), asked


def run(
    spec: str | Path | Mapping[str, Any],
    *,
    assign: Sequence[str] = (),
    only: Sequence[str] = (),
    start: str | None = None,
    force: bool = False,
    keep_going: bool = False,
    store: str | Path | None = None,
    observers: Sequence[Observer] = (),
    registry: Registry | None = None,
    quiet: bool = False,
    verbose: bool = False,
) -> Run:
    """Run a spec file, or the same as Python data; results that are in the store are reused.

    ``assign``: assignments such as ``"steps.pairs.params.limit=100"``. ``only``: these steps and
    what they need. ``start``: this step and all that depend on it. ``force``: the steps asked for
    are done again. ``keep_going``: after a step that failed, those that do not need it are run, and
    the failure is raised at the end. Progress is shown on a terminal and in a notebook unless
    ``quiet``; ``verbose`` shows it anywhere, a line at a time, with odd rows. Raises
    ``RmplugError`` when a person can mend what is wrong.
    """
    _refuse_in_worker()
    checked = open_spec(spec, assign, registry := registry or discover())
    selected, asked = choose(checked, only, start)
    opened = open_store(store)
    witnesses = (*observers_for(quiet, verbose), *observers, *checked.observers)
    tell_new_store(witnesses, opened, None if isinstance(spec, Mapping) else Path(spec))
    opened.prepare()
    log = RunLog(opened, record := _new_record(checked), witnesses)
    with suppress(OSError):  # they only take room; the run's own writing tells what is wrong
        remove_unfinished(opened, LAST_RUNS)
    with live(opened, record) as since:
        forced = forced_steps(checked, asked) if force else frozenset()
        session = _session(checked, registry, log, forced, since)
        session.keep_going = keep_going
        scope = Scope()
        _go(session, record, checked.graph, scope, selected)
    return Run(session.results, scope, record)


def _session(
    spec: Spec, registry: Registry, log: RunLog, forced: frozenset[str], since: float
) -> Session:
    reuse = Reuse(log.store, PreviousSteps(log.store, spec.name), forced, since)
    return Session(spec.name, spec.seed, registry, spec.engine, log, reuse)


def _refuse_in_worker() -> None:
    """Refuse to start a run in a worker process, which reads the script that started the run."""
    from multiprocessing import current_process

    if getattr(current_process(), "_inheriting", False):
        raise RmplugError("a script that starts a run needs if __name__ == '__main__':")


def _go(
    session: Session, record: RunRecord, graph: Graph, scope: Scope, selected: set[str]
) -> None:
    started = time.monotonic()
    session.engine.prepare(session.log.store)
    session.log.tell("prepare", session.log.store.root)
    session.log.tell("run_started", record)
    try:
        session.run(graph, scope, selected, passing=graph.nodes)
        record.status = "finished"
    except BaseException as error:
        record.status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        error.record_path = session.log.store.runs / record.id / RECORD  # type: ignore[attr-defined]
        raise
    finally:
        record.seconds = round(time.monotonic() - started, 3)
        session.engine.close()
        session.log.tell("run_finished", record)
        with nullcontext() if record.status == "finished" else suppress(StoreError):
            write_record(session.log.store, record)


def forced_steps(spec: Spec, asked: Iterable[str]) -> frozenset[str]:
    """Return the asked-for steps, with those inside loops."""
    return frozenset(_with_inner(spec.graph, asked))


def _with_inner(graph: Graph, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield name
        body = graph.nodes[name].body
        if body is not None:
            yield from _with_inner(body, body.nodes)


def plan(
    spec: Spec,
    store: Store,
    registry: Registry,
    selected: set[str],
    forced: Iterable[str] = (),
) -> list[Planned]:
    """Plan a run, step by step; nothing is executed and nothing heavy is loaded."""
    session = _session(spec, registry, RunLog(store), frozenset(forced), math.inf)
    return plan_graph(session, spec.graph, Scope(), selected)


def _new_record(spec: Spec) -> RunRecord:
    data = spec.source.data
    assert isinstance(data, dict)
    record = new_record(spec.name, data, spec.source.file, spec.seed)
    record.environment = describe_machine()
    return record
