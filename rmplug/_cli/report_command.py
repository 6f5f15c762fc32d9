"""The command ``report``: the page of any run, or two runs side by side."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug.errors import RmplugError, some
from rmplug.families import PlanView, Reporter

from .registry import registry_of
from .tables import shown_path

if TYPE_CHECKING:
    from rmplug._kinds.registry import Registry
    from rmplug._run.recorded import RecordedRun
    from rmplug.artifacts import Artifact
    from rmplug.known import Ref

PAGE = "html"
"""The kind of reporter that writes the page."""


def report(options: argparse.Namespace) -> int:
    """Write the page of a run, or of two runs side by side, into a new folder.

    The results of the run are read from the store, and nothing is computed or written there; its
    files and models are not needed. Where its spec has a step `html`, the page has the inputs and
    parameters of that step, else all results. A run is named by its id, the beginning of it, its
    spec's name, or `last`."""
    from rmplug._store.run_records import find_record
    from rmplug._store.store_folder import open_store
    from rmplug._store.user_paths import user_path

    if len(options.runs) > 2:
        raise RmplugError(f"report takes one run, or two to compare, not {len(options.runs)}")
    store, registry = open_store(options.store), registry_of(options)
    records = [find_record(store, name) for name in options.runs or ["last"]]
    named = options.out or f"{'-and-'.join(record.id for record in records)}-report"
    folder = user_path(named)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RmplugError(f"{shown_path(folder)} is there already; name a new folder with --out")
    if len(records) == 2:
        from rmplug._store.compare import comparison

        first, second = records
        names = list(dict.fromkeys((first.name, second.name)))
        title = " and ".join(names) if names[1:] else f"two runs of {first.name}"
        plan = PlanView(title, first.seed, [])
        page = _write([comparison(store, first, second)], plan, {}, registry, folder)
    else:
        from rmplug._run.recorded import RecordedRun

        page = _write_run(RecordedRun(store, records[0], registry), registry, folder)
    print(f"report: {shown_path(page)}")
    if options.open:
        import webbrowser

        webbrowser.open(page.absolute().as_uri())
    return 0


def _write_run(run: RecordedRun, registry: Registry, folder: Path) -> Path:
    refs, params = _page_of(run)
    loaded = run.load(refs)
    if not loaded:
        reasons = some(dict.fromkeys(run.gone.values()), 3) or "no step gave any"
        raise RmplugError(f"the run {run.record.id} has no result to show: {reasons}")
    for name, reason in run.gone.items():
        print(f"left out: {name}: {reason}")
    if params and len(loaded) < len(refs):
        print("left out: the parameters of its page, which need all that it shows")
        params = {}
    kept = [ref for ref, _ in loaded]
    return _write([one for _, one in loaded], run.plan(kept), params, registry, folder)


def _page_of(run: RecordedRun) -> tuple[list[Ref], Mapping[str, Any]]:
    """Return what the page shows, and its parameters: those of the run's own page, if any."""
    from rmplug._run.recorded import mapping
    from rmplug.known import Ref

    for step in map(mapping, mapping(run.record.spec.get("steps")).values()):
        if str(step.get("kind", "")).rpartition(":")[2] == PAGE:
            inputs = step.get("inputs") or []
            inputs = inputs.get("items", []) if isinstance(inputs, Mapping) else inputs
            names = inputs if isinstance(inputs, list) else [inputs]
            return [Ref.parse(str(name)) for name in names], mapping(step.get("params"))
    return run.refs(), {}


def _write(
    items: Sequence[Artifact],
    plan: PlanView,
    params: Mapping[str, Any],
    registry: Registry,
    folder: Path,
) -> Path:
    """Write the page beside its place, and move it there when it is whole."""
    from pydantic import ValidationError

    from rmplug._kinds.registry import missing_libraries
    from rmplug._store.files import guarded
    from rmplug.data.pandas_on_demand import keep_pandas_out
    from rmplug.notices import collect_notices

    provider = registry.find(PAGE, Reporter)
    if missing := missing_libraries(provider):
        raise RmplugError(missing)
    try:
        reporter: Any = provider.cls.model_validate(params)
    except ValidationError as error:
        raise RmplugError(
            f"the parameters of the run's step {PAGE!r} are not those of this version: "
            f"{error.errors()[0]['msg']}; re-run the spec, or give its results to a new one"
        ) from error
    keep_pandas_out()
    with guarded(f"write {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".report-") as work:
            made = Path(work) / "page"
            made.mkdir()
            with collect_notices():
                entry = str(reporter.report(items, directory=made, plan=plan).entry)
            if folder.exists():
                folder.rmdir()  # Windows moves nothing onto a folder, an empty one either
            made.rename(folder)
    return folder / entry
