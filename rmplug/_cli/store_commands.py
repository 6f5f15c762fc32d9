"""Commands on a store: ``runs``, ``show``, ``compare`` and ``gc``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict

from rmplug.errors import printable
from rmplug.notices import Notice
from rmplug.records import StepRecord

from .tables import run_row, show_rows, shown_path, status_of, step_row


def runs(options: argparse.Namespace) -> int:
    """List the runs that a store knows."""
    from rmplug._run.run import open_store
    from rmplug._store.run_records import each_summary

    summaries = each_summary(open_store(options.store))
    show_rows([run_row(summary) for summary in summaries], options.json)
    return 0


def show_run(options: argparse.Namespace) -> int:
    """Show what a run did: by its id, the beginning of it, its spec's name, or ``last``."""
    from rmplug._run.run import open_store, report_pages
    from rmplug._store.record_files import record_data
    from rmplug._store.run_records import find_record

    store = open_store(options.store)
    record = find_record(store, options.run)
    if options.json:
        print(json.dumps(record_data(record), indent=1, ensure_ascii=False, default=str))
        return 0
    print(f"{record.id}: {status_of(record)}, {record.seconds:.1f} s, seed {record.seed}")
    if record.note:
        print(record.note)
    show_rows([step_row(step) for step in record.steps.values()], False)
    for step in record.steps.values():
        for line in _noticed(step):
            print(printable(f"{step.id}: {line}"))
    for page in report_pages(store, record):
        print(f"report: {shown_path(page)}")
    return 0


def _noticed(step: StepRecord) -> Iterator[str]:
    """Return the notices of a step, and its message; a notice of a damaged record as it stands."""
    for entry in step.notices:
        try:
            notice = Notice(**entry)
            ids = ", ".join(map(str, notice.ids[:3]))
            yield f"{notice.count:,} × {notice.what}, {notice.action} ({ids} …)"
        except (TypeError, ValueError):
            yield f"a notice that cannot be read: {str(entry)[:100]}"
    if step.message:
        yield step.message


def compare(options: argparse.Namespace) -> int:
    """Compare two runs: what differs in their specs, results and numbers."""
    from rmplug._run.run import open_store
    from rmplug._store.compare import compare_runs
    from rmplug._store.run_records import find_record

    store = open_store(options.store)
    show_rows(
        compare_runs(store, *(find_record(store, name) for name in options.runs)), options.json
    )
    return 0


def gc(options: argparse.Namespace) -> int:
    """Remove results that no run of the store refers to, and debris."""
    from rmplug._run.run import open_store
    from rmplug._store.gc import collect_garbage

    removed = collect_garbage(open_store(options.store), options.keep, options.dry_run)
    if options.json:
        print(json.dumps(asdict(removed), indent=1))
        return 0
    for note in removed.notes:
        print(f"kept: {note}")
    verb = "would remove" if options.dry_run else "removed"
    size = f"{removed.bytes / 1e6:.1f} MB"
    print(f"{verb} {len(removed.names)} results, {size}; {removed.kept} runs kept")
    return 0
