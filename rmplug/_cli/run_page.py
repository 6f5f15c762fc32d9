"""One run as ``show`` prints it: what was found first, then the numbers, then the steps."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rmplug._store.reports import report_pages, told
from rmplug._store.run_numbers import Row as NumberRow
from rmplug._store.run_numbers import metric_rows
from rmplug._store.store import Store
from rmplug.checks import Check
from rmplug.errors import printable
from rmplug.notices import Notice
from rmplug.records import RunRecord, StepRecord
from rmplug.stats.numbers import Number, labels_of, point_of

from .tables import Row, columns_wide, show_rows, shown_path, status_of, step_row

MOST_ROWS = 12
"""Numbers of a step that are shown unless all are asked for: whole metrics, the first always."""


def show_page(store: Store, record: RunRecord, every_number: bool) -> None:
    """Print a run: its headline and findings, its numbers with intervals, its steps, its odd
    rows, the checks of its numbers, and its reports."""
    started = record.started[:16].replace("T", " ")
    took = f" in {record.seconds:.1f} s" if record.seconds else ""
    ran = sum(step.seconds for step in record.steps.values() if step.status == "done")
    if not took and ran:  # a run that was killed knows only its steps
        took = f" after {ran:.1f} s or more"
    about = f"{status_of(record)}{took}, seed {record.seed}, {started} UTC"
    print(printable(f"{record.id}: {about}"))
    if record.note:
        print(printable(record.note))
    _show_words(store, record)
    _show_numbers(store, record, every_number)
    print("\nSteps")
    show_rows([step_row(step) for step in record.steps.values()], False)
    not_run = [f"{name}: not run: {reason}" for name, reason in record.not_run.items()]
    for line in [*_noticed(record), *not_run, *record.problems]:
        print(printable(line))
    if status_of(record) == "interrupted":
        print("run it again to go on: what is done is reused")
    pages = report_pages(store, record)
    made_by = {step.artifact: step.id for step in record.steps.values()}
    for page in pages:
        key = page.relative_to(store.artifacts).parts[0]
        of = f" {printable(made_by[key])}" if len(pages) > 1 else ""
        print(f"report{of}: {shown_path(page)}")


def _show_words(store: Store, record: RunRecord) -> None:
    words = told(store, record)
    if words.headline:
        print(f"\n{_wrapped(words.headline, '')}")
    for about, text in words.findings:
        print(_wrapped(f"{about}: {text}" if about else text, "  - "))


def _wrapped(text: str, mark: str) -> str:
    """Break a text into lines as wide as the terminal, those after the first indented."""
    return textwrap.fill(
        printable(text),
        columns_wide(),
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _show_numbers(store: Store, record: RunRecord, every_number: bool) -> None:
    rows: list[Row] = []
    left_out = 0
    for step, numbers in metric_rows(store, record):
        kept = numbers if every_number else _main(numbers)
        left_out += len(numbers) - len(kept)
        rows += [_number_row(step, number) for number in kept]
    if rows:
        print("\nNumbers")
        show_rows(rows, False)
    if left_out:
        print(f"{left_out:,} more numbers: rmplug show {printable(record.id)} --numbers")


def _main(rows: Sequence[NumberRow]) -> list[NumberRow]:
    """Return the first metrics of all rows, each of every model: as many as fit."""
    whole = [row for row in rows if row.get("subset", "all") == "all" and not row.get("axis")]
    kept: list[NumberRow] = []
    for metric in dict.fromkeys(row["metric"] for row in whole):
        of_metric = [row for row in whole if row["metric"] == metric]
        if kept and len(kept) + len(of_metric) > MOST_ROWS:
            break
        kept += of_metric
    return kept


def _number_row(step: str, row: NumberRow) -> Row:
    number = Number.of(row)
    of = [text for text in (*labels_of(row), point_of(row)) if text]
    subset = row.get("subset", "all")
    return {
        "step": step,
        "number": row["metric"],
        "of": ", ".join(of),
        "subset": "" if subset == "all" else subset,
        "value": number.text,
        "95 % interval": number.interval,
        "n": "" if number.n is None else f"{number.n:,}",
    }


def _noticed(record: RunRecord) -> Iterator[str]:
    """Return the notices, checks and messages of all steps."""
    for step in record.steps.values():
        yield from (f"{step.id}: {line}" for line in _noticed_by(step))


def _noticed_by(step: StepRecord) -> Iterator[str]:
    """Return the notices and checks of a step, and its message; what is damaged as it stands."""
    for entry in step.notices:
        try:
            notice = Notice(**entry)
            ids = ", ".join(map(str, notice.ids[:3])) + (" …" if notice.count > 3 else "")
            yield f"{notice.count:,} × {notice.what}, {notice.action} ({ids})"
        except (TypeError, ValueError):
            yield f"a notice that cannot be read: {str(entry)[:100]}"
    for entry in step.checks:
        try:
            yield Check(**entry).sentence
        except (TypeError, ValueError):
            yield f"a check that cannot be read: {str(entry)[:100]}"
    if step.message:
        yield step.message
