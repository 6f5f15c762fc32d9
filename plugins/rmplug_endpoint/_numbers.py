"""Numbers about conversations from a server: each distinct one asked once, order kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rmplug import DataError
from rmplug.errors import some

from ._asking import SCORES_BYTES, Asking
from ._conversations import Conversation
from ._forms import Form
from ._server import Answer, Request

if TYPE_CHECKING:
    from .connection import ServedNumbers


class NumberSource:
    """A server that is asked in one form, with an activation or without."""

    def __init__(
        self, step: ServedNumbers, form: Form, activation: bool, most_bytes: int = SCORES_BYTES
    ) -> None:
        self.asking = Asking(step, form.path, form.speaks, most_bytes)
        self.step, self.form, self.activation = step, form, activation

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
