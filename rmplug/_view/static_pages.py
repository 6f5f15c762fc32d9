"""The pages as files, for a folder that is sent or published."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rmplug._store.files import guarded
from rmplug._store.record_files import RECORD, record_data
from rmplug._store.run_records import each_summary
from rmplug._store.serialize import FILES
from rmplug.errors import RmplugError, StoreError
from rmplug.records import RunRecord, RunSummary

from .links import INDEX, Links
from .pages import ASSETS, BETWEEN, TEMPLATES, Pages
from .stored_results import result_folder, tables_of

PLAIN = re.compile(r"(?!\.)[\w.,-]{1,200}")
"""Names that are written as names of files: none that could lead elsewhere."""


def write_pages(pages: Pages, folder: Path) -> list[str]:
    """Write all pages into a new folder; gives what was left out, with the reason.

    Of a table, the first page of rows is written; of comparisons, those of each run with the one
    before it of the same spec. Raises ``RmplugError`` if the folder holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RmplugError(f"{folder} is there already; name a new folder with --static")
    with guarded(f"write {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".view-") as work:
            made = Path(work) / "pages"
            left_out = StaticPages(pages, made).write()
            if folder.exists():
                folder.rmdir()
            made.rename(folder)
    return left_out


class StaticPages:
    """Writes pages below a folder."""

    def __init__(self, pages: Pages, root: Path) -> None:
        self._pages = pages
        self._root = root
        self._left_out: list[str] = []

    def write(self) -> list[str]:
        """Write everything; gives what was left out."""
        self._root.mkdir()
        for name in ASSETS:
            shutil.copyfile(TEMPLATES / name, self._root / name)
        self._text(self._pages.runs(Links(0)), INDEX)
        before: dict[str, str] = {}
        for run in each_summary(self._pages.store):
            if not isinstance(run, RunSummary):
                self._left_out.append(f"{run.id}: {run.problem}")
                continue
            try:
                self._run(run, before.get(run.name, ""))
                before[run.name] = run.id
            except (StoreError, OSError, ValueError) as error:
                self._left_out.append(f"{run.id}: {error}")
        return self._left_out

    def _run(self, run: RunSummary, earlier: str) -> None:
        record = self._pages.record(run.id)
        if not self._is_plain(run.id):
            return
        self._text(self._pages.run(Links(2), run.id, earlier), "runs", run.id, INDEX)
        data = json.dumps(record_data(record), indent=1, ensure_ascii=False, default=str)
        self._text(data, "runs", run.id, RECORD)
        for table in tables_of(self._pages.store, record):
            if self._is_plain(table.name):
                page = self._pages.table(Links(4), run.id, table.name)
                self._text(page, "runs", run.id, "tables", table.name, INDEX)
        for step, folder in self._reports(record):
            shutil.copytree(folder, self._root / "files" / run.id / step)
        if earlier:
            page = self._pages.comparison(Links(2), (earlier, run.id))
            self._text(page, "compare", f"{earlier}{BETWEEN}{run.id}", INDEX)

    def _reports(self, record: RunRecord) -> Iterator[tuple[str, Path]]:
        for step in record.steps.values():
            folder = result_folder(self._pages.store, step.artifact)
            if step.family == "reporter" and folder is not None and self._is_plain(step.id):
                yield step.id, folder / FILES

    def _is_plain(self, name: str) -> bool:
        if PLAIN.fullmatch(name):
            return True
        self._left_out.append(f"{name[:80]!r}: this name is none for a file")
        return False

    def _text(self, text: str, *parts: str) -> None:
        path = self._root.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
