"""Sheets of pairs for people to label, and what they wrote."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from rmplug import DataError, Pairs, Report, Selection, notice, text_of
from rmplug.arrays import Array
from rmplug.data.raw_texts import BadRow, shown
from rmplug.data.row_files import Row, RowFiles, identifier, need
from rmplug.data.sides import exchange_sides
from rmplug.errors import some

from ._label_pool import rows_of
from ._pairs import written

if TYPE_CHECKING:
    from .fields import Labels
    from .labelling import LabelsFile, LabelSheet

WINNER, TIE = "winner", "tie"
COLUMNS = ("id", "prompt", "A", "B", WINNER)
FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""The beginning of a cell that a spreadsheet takes for a formula (full-width signs count in some
languages), or of one that was kept from it."""


def write_sheet(step: LabelSheet, data: Pairs, selection: Selection | None, directory: Path) -> str:
    """Write the pairs that have no answer yet; return the name of the file."""
    answered = read_answers(step.answers or (), step.labels)
    table = data.take(_selected(data, selection)).table
    ids = table["id"].to_pylist()
    prompts, one, other = (text_of(table[n]).to_pylist() for n in ("prompt", "chosen", "rejected"))
    rows = [
        (name, prompt, *((second, first) if turned else (first, second)), "")
        for name, prompt, first, second, turned in zip(
            ids, prompts, one, other, are_turned(ids), strict=True
        )
        if name not in answered
    ]
    path = directory / f"to-label.{step.format}"
    write = _write_csv if step.format == "csv" else _write_json_lines
    write(path, rows)
    return path.name


def _selected(data: Pairs, selection: Selection | None) -> Array:
    if selection is None:
        return np.arange(len(data))
    return rows_of(selection, data.column("id").combine_chunks(), data.name)


def are_turned(ids: Iterable[str]) -> list[bool]:
    """Draw for each pair whether the rejected response is A: from its id, so that a sheet and its
    answers agree without a word about it."""
    digests = (hashlib.blake2b(b"A or B " + name.encode(), digest_size=1) for name in ids)
    return [bool(digest.digest()[0] & 1) for digest in digests]


def _write_csv(path: Path, rows: Sequence[tuple[str, ...]]) -> None:
    # with its mark, spreadsheets read UTF-8 as what it is
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([_as_text(cell) for cell in row] for row in rows)


def _as_text(cell: str) -> str:
    return f"'{cell}" if FORMULA.match(cell) else cell


def _from_text(cell: str) -> str:
    return cell.removeprefix("'") if FORMULA.match(cell) else cell


def _write_json_lines(path: Path, rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            values = {**dict(zip(COLUMNS, row, strict=True)), WINNER: None}
            file.write(json.dumps(values, ensure_ascii=False) + "\n")


def read_answers(paths: Sequence[Path], labels: Labels) -> dict[str, list[str]]:
    """Read the verdicts (``A``, ``B``, ``tie``) on each pair from the files that are there."""
    meanings = {
        written(value).casefold(): meaning
        for meaning, values in labels.model_dump().items()
        for value in values
    }
    found: dict[str, list[str]] = {}
    there = [path for path in paths if path.exists()]
    if there:
        source = RowFiles(there)
        hint = "answers need the columns id and winner, as on the sheet"
        for _, (name, verdict) in source.convert(lambda row: _answer(row, meanings), hint):
            if verdict != "none":
                found.setdefault(name, []).append(verdict)
    return found


def _answer(row: Row, meanings: Mapping[str, str]) -> tuple[str, str]:
    name, value = identifier(need(row.value, "id"), "id"), need(row.value, WINNER)
    name = _from_text(name)
    verdict = meanings.get(written(value).casefold())
    if verdict is None:
        raise BadRow("an unknown winner", f"{shown(value)}; say what it means with labels")
    return name, verdict


def labelled_pairs(
    step: LabelsFile, data: Pairs, sheet: Report, selection: Selection | None
) -> Pairs:
    """Return the pairs that have a winner, with the winner as the chosen one."""
    answers = read_answers(step.path, step.labels)
    table = data.take(np.sort(_selected(data, selection))).table
    ids: list[str] = table["id"].to_pylist()
    missing = [name for name in ids if name not in answers]
    if missing and step.unanswered == "error":
        raise DataError(_request(len(missing), len(ids), sheet, step.path))
    notice("no answer", missing, "dropped")
    other = sorted(set(answers) - set(ids))
    notice("an answer about a pair that was not asked about", other, "dropped")
    votes = [Vote.of(answers.get(name, [])) for name in ids]
    tied = np.array([vote.winner == TIE for vote in votes], dtype=bool)
    fate: Literal["dropped", "kept"] = "dropped" if step.ties == "drop" else "kept"
    notice("a tie", table["id"].filter(pa.array(tied)).to_pylist(), fate)
    # A is the chosen response but where the sheet has turned the two
    turn = np.array(
        [
            vote.winner == ("A" if turned else "B")
            for vote, turned in zip(votes, are_turned(ids), strict=True)
        ],
        dtype=bool,
    )
    labelled = exchange_sides(table, turn)
    for name in ("margin", "votes", "agreement"):
        labelled = labelled.drop_columns([name]) if name in labelled.column_names else labelled
    labelled = labelled.append_column("votes", pa.array([vote.count for vote in votes], pa.int64()))
    shares = pa.array([vote.agreement for vote in votes], pa.float64())
    labelled = labelled.append_column("agreement", shares)
    kept = [bool(vote.count) and (vote.winner != TIE or step.ties == "keep") for vote in votes]
    return Pairs(labelled.filter(pa.array(kept, pa.bool_())), data.name)


def _request(missing: int, asked: int, sheet: Report, paths: Sequence[Path]) -> str:
    place = str(paths[0]) if len(paths) == 1 else f"one of {some(map(str, paths))}"
    place = f"a file that {place} matches" if "*" in place else place
    here = "add them to" if any(path.exists() for path in paths) else "save it as"
    return (
        f"{missing} of {asked} pairs have no answer yet: write A, B or tie under {WINNER} in "
        f"{sheet.directory / sheet.entry}, {here} {place}, and run again"
    )


@dataclass(frozen=True)
class Vote:
    """The verdict of the majority on a pair, the number of verdicts, and the majority's share."""

    winner: str
    count: int
    agreement: float | None

    @classmethod
    def of(cls, verdicts: Sequence[str]) -> Vote:
        if not verdicts:
            return cls("", 0, None)
        (first, most), *rest = Counter(verdicts).most_common()
        drawn = bool(rest) and rest[0][1] == most
        return cls(TIE if drawn else first, len(verdicts), most / len(verdicts))
