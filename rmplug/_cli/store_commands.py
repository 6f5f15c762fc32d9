"""Commands on a store: ``runs``, ``show``, ``open``, ``compare`` and ``gc``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rmplug.errors import StoreError

from .tables import run_row, show_rows, shown_path


def runs(options: argparse.Namespace) -> int:
    """List the runs that a store knows."""
    from rmplug._store.run_records import each_summary
    from rmplug._store.store_folder import open_store

    store = open_store(options.store)
    rows = [run_row(summary) for summary in each_summary(store)]
    for row in () if options.json else rows:
        row["started"] = (row["started"] or "")[:16].replace("T", " ")
    if not rows and not options.json:
        where = store.address or shown_path(store.root)
        print(f"no runs in {where}; another store is named with --store")
        return 0
    show_rows(rows, options.json, below="reason")
    return 0


def show_run(options: argparse.Namespace) -> int:
    """Show what a run found and did: headline, findings, numbers with intervals, steps.

    RUN is a run's id, the name of its spec (the latest run), the beginning of either, or ``last``.
    """
    from rmplug._store.record_files import record_data
    from rmplug._store.run_records import find_record
    from rmplug._store.store_folder import open_store

    from .run_page import show_page

    store = open_store(options.store)
    record = find_record(store, options.run)
    if options.json:
        print(json.dumps(record_data(record), indent=1, ensure_ascii=False, default=str))
    else:
        show_page(store, record, options.numbers)
    return 0


def open_page(options: argparse.Namespace) -> int:
    """Open the report of a run in a browser; print its path where there is no browser.

    RUN is a run's id, the name of its spec (the latest run), the beginning of either, or ``last``.
    """
    from rmplug._store.reports import report_pages
    from rmplug._store.run_records import find_record
    from rmplug._store.store_folder import open_store

    store = open_store(options.store)
    record = find_record(store, options.run)
    pages = report_pages(store, record)
    if not pages:
        raise StoreError(f"the run {record.id} has no report; rmplug report {record.id} writes one")
    for page in pages:
        opened = not options.print and page.suffix == ".html" and _opened(page)
        print(f"opened {shown_path(page)}" if opened else shown_path(page))
    return 0


def _opened(page: Path) -> bool:
    """Open a page in the browser of this machine, if it has one."""
    import webbrowser

    try:
        return webbrowser.open(page.absolute().as_uri())
    except (webbrowser.Error, OSError):
        return False


def compare(options: argparse.Namespace) -> int:
    """Compare two runs: what differs in their specs, results and numbers."""
    from rmplug._store.compare import compare_runs
    from rmplug._store.run_records import find_record
    from rmplug._store.store_folder import open_store

    store = open_store(options.store)
    one, other = (find_record(store, name) for name in options.runs)
    if one.id == other.id and not options.json:
        print(f"both are the run {one.id}; name two runs (rmplug runs lists them)")
        return 0
    show_rows(compare_runs(store, one, other), options.json)
    return 0


def gc(options: argparse.Namespace) -> int:
    """Remove results that no run of the store refers to, and debris."""
    from rmplug._store.gc import collect_garbage
    from rmplug._store.store_folder import open_store

    removed = collect_garbage(
        open_store(options.store), options.keep, options.dry_run, options.scores
    )
    if options.json:
        print(json.dumps(asdict(removed), indent=1))
        return 0
    for note in removed.notes:
        print(f"kept: {note}")
    verb = "would remove" if options.dry_run else "removed"
    size = f"{removed.bytes / 1e6:.1f} MB"
    print(f"{verb} {len(removed.names)} results, {size}; {removed.kept} runs kept")
    if removed.values:
        print(f"scores of texts stay, {removed.values / 1e6:.1f} MB (--scores removes them)")
    return 0
