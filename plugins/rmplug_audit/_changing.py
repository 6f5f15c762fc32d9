"""Changes applied to rows of responses, with what they need beside the row itself."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import pyarrow as pa

from rmplug import DataError, Pairs, Responses, RewardModel, notice
from rmplug.data.sides import responses_of
from rmplug.models.text_generator import TextGenerator

from .perturbations.changes import Change, Changed
from .perturbations.perturbation import Row

BANK = 512
"""Responses that are kept for rows that need those to other prompts."""
OTHERS = 4
"""Responses to other prompts that a row gets."""


@dataclass(frozen=True)
class Subject:
    """A response to be changed: its id, its group, and its texts."""

    identity: str
    group: str
    row: Row


@dataclass(frozen=True)
class Bank:
    """Responses of the data by group, chosen by a hash: whatever their order, and few of many."""

    entries: Sequence[tuple[str, str]]
    seed: int

    @classmethod
    def of(cls, data: Pairs | Responses, seed: int) -> Bank:
        """Choose responses that have a text."""
        least = heapq.nsmallest(BANK, _hashed(data, seed))
        return cls([(group, text) for _, group, text in least], seed)

    def others(self, identity: str, group: str) -> list[str]:
        """Draw responses of other groups for a row."""
        foreign = [text for own, text in self.entries if own != group]
        random = Random(f"{self.seed}\n{identity}")
        return random.sample(foreign, min(OTHERS, len(foreign)))


def _hashed(data: Pairs | Responses, seed: int) -> Iterator[tuple[bytes, str, str]]:
    for batch in data.batches():
        table = as_responses(data, pa.Table.from_batches([batch]))
        columns = (table[name].to_pylist() for name in ("id", "group", "response"))
        for identity, group, messages in zip(*columns, strict=True):
            text = last_text(messages)
            if text.strip():
                key = hashlib.blake2b(f"{seed}\n{identity}".encode(), digest_size=8).digest()
                yield key, group or "", text


def last_text(messages: Sequence[dict[str, str]] | None) -> str:
    """Return the text of the last message, empty where there is none."""
    return (messages[-1]["content"] or "") if messages else ""


def with_last_text(messages: Sequence[dict[str, str]], text: str) -> list[dict[str, str]]:
    """Return a conversation with another text in its last message."""
    return [*messages[:-1], {**messages[-1], "content": text}]


def with_column(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Return the table with a column set, or added behind the others."""
    place = table.schema.get_field_index(name)
    return table.append_column(name, column) if place < 0 else table.set_column(place, name, column)


def as_responses(data: Pairs | Responses, table: pa.Table) -> pa.Table:
    """Return rows of the data as rows of responses."""
    return responses_of(table) if isinstance(data, Pairs) else table


@dataclass
class Changer:
    """Applies changes to responses, counts what could not be made, and asks the generator."""

    bank: Bank
    generator: RewardModel | None
    seed: int
    _written: dict[tuple[str, str], str] = field(default_factory=dict)
    _opened: TextGenerator | None = None

    def subjects(self, table: pa.Table) -> list[Subject]:
        """Return the rows of a table of responses as texts to be changed."""
        columns = (table[name].to_pylist() for name in ("id", "group", "prompt", "response"))
        return [
            Subject(
                identity,
                group or "",
                Row(
                    last_text(prompt), last_text(response), self.bank.others(identity, group or "")
                ),
            )
            for identity, group, prompt, response in zip(*columns, strict=True)
        ]

    def ask(self, changes: Sequence[Change], subjects: Sequence[Subject]) -> None:
        """Ask the generator what these changes need of these rows; earlier answers are dropped."""
        self._written = {}
        for change in changes:
            if change.asks:
                self._ask(change, subjects)

    def _ask(self, change: Change, subjects: Sequence[Subject]) -> None:
        perturbation = change.edits[0].perturbation
        asked = [subject for subject in subjects if subject.row.response.strip()]
        questions = [perturbation.question(subject.row) for subject in asked]
        model = self._model(change.name)
        answers = model.generate(questions, perturbation.answer_tokens) if questions else []
        for subject, answer in zip(asked, answers, strict=True):
            self._written[change.name, subject.identity] = answer

    def _model(self, asking: str) -> TextGenerator:
        if self._opened is None:
            if self.generator is None:
                raise DataError(f"{asking} asks a language model; give the input generator")
            opened = self.generator.open()
            if not isinstance(opened, TextGenerator):
                name = self.generator.name or type(opened).__name__
                raise DataError(
                    f"{name} generates no text; give a model of the kind causal-lm, "
                    "generative-judge or endpoint"
                )
            self._opened = opened
        return self._opened

    def change(self, subject: Subject, change: Change, dose: int) -> str | None:
        """Return the changed text, or None after a notice that says why there is none."""
        changed = self.try_change(subject, change, dose)
        if changed.reason:
            copy = copy_id(subject.identity, change, dose)
            notice(f"{change.name}: {changed.reason}", [copy], "dropped", of="changed copies")
        return changed.text

    def try_change(self, subject: Subject, change: Change, dose: int) -> Changed:
        """Return the changed text or why there is none; no reason for a response without text."""
        row = subject.row
        if not row.response.strip():
            return Changed(None)
        if change.asks:
            row = replace(row, written=self._written[change.name, subject.identity])
        return change.apply(row, dose, subject.identity, self.seed)


def copy_id(identity: str, change: Change, dose: int) -> str:
    return f"{identity}~{change.name}~{dose}"
