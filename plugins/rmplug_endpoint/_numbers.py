"""Numbers about conversations from a server: each distinct one asked once, order kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug.models.kept import kept_rows

from ._asking import SCORES_BYTES, Asking
from ._conversations import Conversation
from ._forms import Form
from ._self_description import self_description
from ._server import Answer, Request

if TYPE_CHECKING:
    from .connection import ServedNumbers


READ_AS = 1
"""Raised when other numbers are read from the same answer: those that are kept count no more. An
update of anything else has nobody pay for them again."""


class NumberSource:
    """A server that is asked in one form, with an activation or without."""

    def __init__(
        self, step: ServedNumbers, form: Form, activation: bool, most_bytes: int = SCORES_BYTES
    ) -> None:
        self.asking = Asking(step, form.path, form.speaks, most_bytes)
        self.step, self.form, self.activation = step, form, activation

    def numbers(
        self, rows: Sequence[Conversation], read: Callable[[Sequence[Conversation]], Array]
    ) -> Array:
        """Return the numbers of rows, of shape (rows, …), that ``read`` asks for; where the step
        promises what the model is (``revision``), only of those that the store does not know."""
        if self.step.revision is None:
            return read(rows)
        keys = [row.key.encode() for row in rows]
        return kept_rows(self._identity, keys, lambda few: read([rows[row] for row in few]))

    def _identity(self) -> dict[str, Any]:
        """Return all that determines the numbers of a conversation, as far as a server tells."""
        aside = self.step.neutral | {"outputs"}
        settings = self.step.model_dump(mode="json", exclude=set(aside))
        served = {"kind": self.step.kind, "read_as": READ_AS, "server": self._self_description}
        return {**served, "settings": settings}

    @cached_property
    def _self_description(self) -> dict[str, Any]:
        return self_description(self.step)

    def ask(self, rows: Sequence[Conversation]) -> list[Any]:
        """Return what the server gives for each row."""
        distinct: dict[str, Conversation] = {}
        for row in rows:
            distinct.setdefault(row.key, row)
        asked = list(distinct.values())
        size = 1 if asked and asked[0].written == "messages" else self.step.rows_per_request
        parts = [asked[first : first + size] for first in range(0, len(asked), size)]
        answers = self.asking.ask([self._request(part) for part in parts], self._read)
        given = (values for part in answers for values in part)
        by_key = dict(zip(distinct, given, strict=True))
        return [by_key[row.key] for row in rows]

    def _request(self, rows: Sequence[Conversation]) -> Request:
        own = {"model": self.step.model, **self.form.fields(rows, self.activation)}
        texts = tuple(text for row in rows for text in row.texts)
        ids = tuple(row.id for row in rows)
        return Request(json.dumps({**own, **self.step.body}).encode(), texts, ids)

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
