"""The reports of a run: their pages, and what they found in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from rmplug.records import RunRecord

from .serialize import FILES
from .store import NewerFormatError, Store

NUMBERS_FILE = "metrics.json"
"""The file beside a report's page that says the same as JSON: ``headline`` and ``findings``."""
HEAD_BYTES, MOST_FINDINGS, MOST_CHARACTERS = 32_768, 50, 2000
"""Limits to what is read of a report, which may be a stranger's. Its words stand at the beginning
of the file; a list of a thousand runs must not read all their numbers."""


@dataclass(frozen=True)
class Told:
    """The words of a report: its headline, and what it found in sentences, by what they are
    about."""

    headline: str = ""
    findings: tuple[tuple[str, str], ...] = ()


def report_pages(store: Store, record: RunRecord) -> list[Path]:
    """List the pages of a run's reports."""
    made = (step.artifact for step in record.steps.values() if step.family == "reporter")
    return pages_of(store, made)


def pages_of(store: Store, reports: Iterable[str]) -> list[Path]:
    """List the pages of reports, which their artifacts name; of those that are gone, none."""
    pages = []
    for key in reports:
        if store.find(key) is not None:
            with suppress(NewerFormatError):
                page = store.artifacts / key / FILES / str(store.manifest(key)["entry"])
                if page.resolve().is_relative_to(store.artifacts.resolve()):
                    pages.append(page)
    return pages


def told(store: Store, record: RunRecord) -> Told:
    """Return the words of the first report of a run that has any."""
    return told_by(report_pages(store, record))


def told_by(pages: Iterable[Path]) -> Told:
    """Return the words of the first of these pages that has any."""
    for page in pages:
        data = _read(page.parent / NUMBERS_FILE)
        headline = data.get("headline")
        words = Told(_text(headline), tuple(_findings(data.get("findings"))))
        if words.headline or words.findings:
            return words
    return Told()


def _read(path: Path) -> dict[str, Any]:
    """Read the beginning of a file of JSON, as far as it goes."""
    try:
        if path.is_symlink():
            return {}
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES).decode("utf-8", "ignore")
        data = from_json(head, allow_partial=True)
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _findings(listed: Any) -> Iterator[tuple[str, str]]:
    for entry in listed[:MOST_FINDINGS] if isinstance(listed, list) else ():
        if isinstance(entry, dict) and _text(entry.get("text")):
            yield _text(entry.get("about")), _text(entry["text"])


def _text(value: Any) -> str:
    return " ".join(value[:MOST_CHARACTERS].split()) if isinstance(value, str) else ""
