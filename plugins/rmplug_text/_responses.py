"""Responses from rows of files: one each, lists of candidates, or one row per rating."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from rmplug import notice
from rmplug.data.raw_texts import MISSING, BadRow, Text, find, split_response, text_from
from rmplug.data.row_files import (
    BATCH_ROWS,
    Entry,
    FurtherColumns,
    Row,
    RowFiles,
    flatten,
    need,
    number,
    table_of,
)

from ._pairs import FieldPaths

OPTIONAL = ("group", "label", "model", "subset")
TEXTS = ("prompt", "response")
CORE = ("id", *TEXTS, *OPTIONAL)


class Ratings:
    """The location of a row's ratings: in a mapping, or in columns of their own."""

    def __init__(self, where: str | Sequence[str] | Mapping[str, str] | None) -> None:
        self.mapping = where if isinstance(where, str) else None
        if isinstance(where, Mapping):
            self.columns = dict(where)
        else:
            self.columns = {} if isinstance(where, str | None) else {n: n for n in where}

    def of(self, row: Row) -> dict[str, Any]:
        """Return ``ratings.<attribute>`` of a row, numbers or missing."""
        if self.mapping is not None:
            return self._checked(_scores(need(row.value, self.mapping), self.mapping))
        if self.columns:
            return self._checked({name: need(row.value, at) for name, at in self.columns.items()})
        value = row.value.get("ratings")
        if value is not None:
            return self._checked(_scores(value, "ratings"))
        prefix = "ratings."
        return self._checked(
            {n.removeprefix(prefix): v for n, v in row.value.items() if n.startswith(prefix)}
        )

    def taken(self) -> frozenset[str]:
        """Return the names that ratings take, so that no other column may."""
        return frozenset(self.columns.values() or {self.mapping or "ratings"})

    def _checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            f"ratings.{name}": number(value, f"ratings.{name}")
            for name, value in flatten(values).items()
        }


def _scores(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadRow(f"{path} is not a mapping of attributes to numbers")
    return value


class ResponseRows:
    """A converter of rows with one response each."""

    def __init__(self, fields: Mapping[str, str | None], form: str, ratings: Ratings) -> None:
        self.paths = FieldPaths(fields, form)
        self.ratings = ratings
        self.paths.taken |= ratings.taken()

    def __call__(self, row: Row) -> Sequence[Entry]:
        paths = self.paths
        response = paths.text(row, "response")
        prompt, response = split_response(paths.prompt(row), response)
        core = {"id": paths.id(row), "prompt": prompt, "response": response}
        further = paths.optional(row, OPTIONAL) | self.ratings.of(row)
        return [(core, further | paths.further(row, CORE))]


class CandidateRows:
    """A converter of rows with several responses to one prompt; each becomes ``<id>/<index>``."""

    def __init__(
        self,
        fields: Mapping[str, str | None],
        form: str,
        responses: Sequence[str],
        details: Mapping[str, str | None],
    ) -> None:
        self.paths = FieldPaths(fields, form)
        self.paths.taken |= frozenset(responses)
        self.responses = responses
        self.details = {name: path for name, path in details.items() if path}
        self.text = self.details.pop("text", None)
        self.best = self.details.pop("best", None)

    def __call__(self, row: Row) -> Sequence[Entry]:
        paths = self.paths
        items = list(self._items(row))
        prompt = paths.prompt(row)
        shared = paths.optional(row, OPTIONAL) | paths.further(row, (*CORE, "rank", "score"))
        name = paths.id(row)
        details = self._details(row, [item for _, item in items])
        entries = []
        for index, (rank, item) in enumerate(items):
            asked, response = split_response(prompt, self._text(item))
            core = {"id": f"{name}/{index}", "prompt": asked, "response": response}
            own = {"rank": rank} if len(self.responses) > 1 else {}
            entries.append((core, shared | own | self._rest(item) | details[index]))
        return entries

    def _items(self, row: Row) -> Iterator[tuple[int, Any]]:
        """Yield the candidates, each with the rank of the column that it comes from."""
        for rank, path in enumerate(self.responses):
            value = need(row.value, path)
            several = isinstance(value, list) and not is_messages(value)
            yield from ((rank, item) for item in (value if several else [value]))

    def _text(self, item: Any) -> Text:
        if self.text is not None and isinstance(item, dict):
            item = need(item, self.text)
        return text_from(item, "response", self.paths.form)

    def _rest(self, item: Any) -> dict[str, Any]:
        """Return the further entries of a candidate that is a mapping, as ``response.<name>``."""
        if self.text is None or not isinstance(item, dict):
            return {}
        taken = {self.text, *self.details.values()}
        return {f"response.{n}": v for n, v in flatten(item).items() if n not in taken}

    def _details(self, row: Row, items: Sequence[Any]) -> list[dict[str, Any]]:
        """Return rank, score, label and model of each candidate, its own or from a parallel
        list."""
        details: list[dict[str, Any]] = [{} for _ in items]
        for name, path in self.details.items():
            for own, value in zip(details, self._values(row, items, path), strict=True):
                own[name] = number(value, name) if name in ("rank", "score") else value
        if self.best is not None:
            best = self._best(row, len(items))
            for index, own in enumerate(details):
                own["rank"] = 0.0 if index == best else 1.0
        return details

    def _values(self, row: Row, items: Sequence[Any], path: str) -> Sequence[Any]:
        own = [find(item, path) if isinstance(item, dict) else MISSING for item in items]
        if any(value is not MISSING for value in own):
            return [None if value is MISSING else value for value in own]
        values = need(row.value, path)
        if not isinstance(values, list):
            raise BadRow(f"{path} is not a list with a value for each response")
        if len(values) != len(items):
            raise BadRow(
                f"{path} does not fit the responses", f"{len(values)} for {len(items)} responses"
            )
        return values

    def _best(self, row: Row, count: int) -> int:
        assert self.best is not None
        value = number(need(row.value, self.best), self.best)
        if value is None or value != int(value) or not 0 <= value < count:
            raise BadRow(
                f"{self.best} is not the place of a response", f"{value} of {count}, from 0"
            )
        return int(value)


def is_messages(value: list[Any]) -> bool:
    """Check whether a list is one conversation rather than a list of responses."""
    return bool(value) and all(
        isinstance(item, dict) and ("role" in item or "from" in item) for item in value
    )


class RatingCollector:
    """A collector, in memory, of rows per response and attribute into one row per response.

    Rows belong together by the id where the spec names one, else by their texts. Repeated ratings
    of one attribute are averaged, and noticed.
    """

    def __init__(
        self, fields: Mapping[str, str | None], form: str, attribute: str, rating: str
    ) -> None:
        self.rows = ResponseRows(fields, form, Ratings(None))
        self.rows.paths.taken |= {attribute, rating}
        self.by_id = bool(fields.get("id"))
        self.attribute, self.rating = attribute, rating
        self.entries: dict[str, Entry] = {}
        self.ratings: dict[str, dict[str, list[float]]] = {}
        self.typed = True

    def take(self, row: Row) -> None:
        """Add one rating."""
        attribute = need(row.value, self.attribute)
        value = number(need(row.value, self.rating), "rating")
        if not isinstance(attribute, str) or not attribute:
            raise BadRow("an attribute is not text")
        ((core, further),) = self.rows(row)
        self.typed = self.typed and row.typed
        texts = repr((core["prompt"], core["response"], further.get("model")))
        key = core["id"] if self.by_id else texts
        earlier = self.entries.setdefault(key, (core, further))
        if self.by_id and any(earlier[0][name] != core[name] for name in TEXTS):
            raise BadRow("other texts than an earlier row of the same id", core["id"])
        ratings = self.ratings.setdefault(key, {}).setdefault(attribute, [])
        if value is not None:
            ratings.append(value)

    def tables(self) -> Iterator[pa.Table]:
        """Yield the responses, each with ``ratings.<attribute>`` columns."""
        entries = [
            (core, further | self._means(key)) for key, (core, further) in self.entries.items()
        ]
        columns = FurtherColumns(("group", "subset", "model"))
        for _, further in entries:
            columns.learn(further, self.typed)
        repeated = [
            self.entries[key][0]["id"]
            for key, ratings in self.ratings.items()
            if any(len(values) > 1 for values in ratings.values())
        ]
        notice("several ratings of one attribute, averaged", repeated, "changed")
        for start in range(0, max(1, len(entries)), BATCH_ROWS):
            yield table_of(entries[start : start + BATCH_ROWS], TEXTS, columns)

    def _means(self, key: str) -> dict[str, float | None]:
        return {
            f"ratings.{name}": sum(values) / len(values) if values else None
            for name, values in self.ratings[key].items()
        }


def long_tables(source: RowFiles, ratings: RatingCollector, hint: str) -> Iterator[pa.Table]:
    """Yield the responses of files with one row per rating."""
    for _ in source.convert(ratings.take, hint):
        pass
    yield from ratings.tables()
