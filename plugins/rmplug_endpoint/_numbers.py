"""Numbers about conversations from a server: each distinct one asked once, order kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.kept import Keep, kept_answers

from ._asking import SCORES_BYTES, Asking
from ._conversations import Conversation
from ._forms import Form
from ._self_description import self_description
from ._server import Answer, Request

if TYPE_CHECKING:
    from .connection import ServedNumbers

Read: TypeAlias = Callable[[Sequence[Any], Sequence[str]], Array]
"""A function from what a server gave of some rows, and their ids, to their numbers."""
Proves: TypeAlias = Callable[[Array], bool]
"""A function that tells whether the numbers of some rows show that those of all may be right."""
READ_AS = 1
"""Raised when other numbers are read from the same answer: those that are kept count no more. An
update of anything else has nobody pay for them again."""


class HeldBack:
    """Numbers that came, held back from ``keep`` until some prove that all may be right."""

    def __init__(self, keep: Keep, proves: Proves) -> None:
        self._keep, self._proves = keep, proves
        self._held: list[tuple[Array, Array]] = []
        self._proven = False
        self._lock = Lock()

    def __call__(self, places: Array, numbers: Array) -> None:
        """Take the numbers of the rows at some places, from any thread."""
        with self._lock:
            self._held.append((places, numbers))
            self._proven = self._proven or self._proves(numbers)
            while self._proven and self._held:
                self._keep(*self._held.pop())


class NumberSource:
    """A server that is asked in one form, with an activation or without."""

    def __init__(
        self, step: ServedNumbers, form: Form, activation: bool, most_bytes: int = SCORES_BYTES
    ) -> None:
        self.asking = Asking(step, form.path, form.speaks, most_bytes)
        self.step, self.form, self.activation = step, form, activation

    def numbers(self, rows: Sequence[Conversation], read: Read, proves: Proves) -> Array:
        """Return the numbers of rows, of shape (rows, …), as ``read`` finds them in each answer.

        Where the step promises what the model is (``revision``), only rows that the store does not
        know are asked about, and each answer is kept whatever becomes of the others, as soon as one
        of them ``proves`` that they may be right."""
        if self.step.revision is None:
            return self._ask(rows, read)
        keys = [row.key.encode() for row in rows]

        def ask(few: Array, keep: Keep) -> Array:
            held = HeldBack(lambda places, numbers: keep(few[places], numbers), proves)
            return self._ask([rows[row] for row in few], read, held)

        return kept_answers(self._identity, keys, ask)

    def _identity(self) -> dict[str, Any]:
        """Return all that determines the numbers of a conversation, as far as a server tells."""
        aside = self.step.neutral | {"outputs"}
        settings = self.step.model_dump(mode="json", exclude=set(aside))
        served = {"kind": self.step.kind, "read_as": READ_AS, "server": self._self_description}
        return {**served, "settings": settings}

    @cached_property
    def _self_description(self) -> dict[str, Any]:
        return self_description(self.step)

    def _ask(
        self, rows: Sequence[Conversation], read: Read, arrived: Keep = lambda *_: None
    ) -> Array:
        """Return the numbers of rows; ``arrived`` gets those of each answer, with their places, in
        whatever order and thread they come."""
        first: dict[str, int] = {}
        for place, row in enumerate(rows):
            first.setdefault(row.key, place)
        asked = list(first.values())
        size = 1 if rows[0].written == "messages" else self.step.rows_per_request
        parts = (asked[start : start + size] for start in range(0, len(asked), size))

        def numbers_in(answer: Answer, request: Request) -> Array:
            numbers = read(self._read(answer, request), request.ids)
            arrived(np.array(request.places), numbers)
            return numbers

        answers = self.asking.ask([self._request(rows, part) for part in parts], numbers_in)
        numbers, number_of = np.concatenate(answers), {key: n for n, key in enumerate(first)}
        return np.asarray(numbers[[number_of[row.key] for row in rows]])

    def _request(self, every: Sequence[Conversation], places: Sequence[int]) -> Request:
        rows = [every[place] for place in places]
        own = {"model": self.step.model, **self.form.fields(rows, self.activation)}
        texts = tuple(text for row in rows for text in row.texts)
        ids = tuple(row.id for row in rows)
        return Request(json.dumps({**own, **self.step.body}).encode(), texts, ids, tuple(places))

    def _read(self, answer: Answer, request: Request) -> list[Any]:
        """Read the numbers of the rows of a request, in their order."""
        given = self.form.given(answer.parsed(self.form.shape, request))
        expected = self.step.answers_as or self.step.model
        address, count = answer.server.address, len(request.ids)
        if given.model not in ("", expected):
            named = answer.server.clean(given.model, request)
            raise DataError(
                f"{address} answered as the model {named}, not as {expected}; ask for the "
                f"model that you mean, or write answers_as: {named} where that is another name of "
                "it"
            )
        if sorted(given.rows) != list(range(count)):
            raise DataError(
                f"{address} answered {len(given.rows)} of {count} rows about "
                f"{some(request.ids, 3)}, each of which needs one number or vector; "
                f"{answer.server.advice}, and that model is served for this"
            )
        return [given.rows[index] for index in range(count)]
