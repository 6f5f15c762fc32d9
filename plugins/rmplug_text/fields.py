"""The fields of rows in files: the names of columns that hold each part of a row."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict

from rmplug import Names, OneOrMore

Format = Literal["auto", "json", "jsonl", "csv", "tsv", "parquet"]
Form = Literal["auto", "text", "messages", "transcript"]
Scalar = str | int | float | bool | None
Values = Annotated[tuple[Scalar, ...], OneOrMore]


class Fields(BaseModel):
    """The paths of the fields in a row: names of columns; dots reach into nested ones
    (``meta.question``, ``answers.0.text``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    id: str | None = None
    """The row's id. Unless named: ``id`` where a row has it, else ``<file name>:<row number>``."""
    group: str | None = None
    """The group of the row in resampling. Unless named: ``group``, else a hash of the prompt."""
    subset: str | None = None
    """The slice that results are split by. Unless named: ``subset`` where a row has it."""
    prompt: str | None = None
    """The prompt. Unless named: ``prompt``; not needed where responses are whole conversations."""


class PairFields(Fields):
    """The paths of the fields of a pair."""

    chosen: str | None = None
    """The preferred response. Unless named: ``chosen``."""
    rejected: str | None = None
    """The other response. Unless named: ``rejected``."""
    margin: str | None = None
    """The strength of the preference, a number. Unless named: ``margin`` where a row has it."""
    weight: str | None = None
    """The weight of the row, a number. Unless named: ``weight`` where a row has it."""


class ABFields(Fields):
    """The paths of the fields of a comparison."""

    response_a: str | None = None
    """The first response. Unless named: ``response_a``."""
    response_b: str | None = None
    """The second response. Unless named: ``response_b``."""
    label: str | None = None
    """The label: which of the two was preferred. Unless named: ``label``."""
    margin: str | None = None
    """The strength of the preference, a number. Unless named: ``margin`` where a row has it."""
    weight: str | None = None
    """The weight of the row, a number. Unless named: ``weight`` where a row has it."""


class ResponseFields(Fields):
    """The paths of the fields of a response."""

    response: str | None = None
    """The response. Unless named: ``response``."""
    label: str | None = None
    """The label: right or acceptable, or not. Unless named: ``label`` where a row has it."""
    model: str | None = None
    """The model or person that wrote or scored it. Unless named: ``model`` where a row has it."""


class Candidates(BaseModel):
    """The paths of several responses to one prompt, and of the values of each.

    ``rank``, ``score``, ``label`` and ``model`` name either a field of each response or a list
    beside the responses with one value for each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    responses: Names = ("responses",)
    """The column with the list of responses; or several columns, lists or single texts, from best
    to worst: their position becomes the ``rank`` (``[chosen, rejected]``)."""
    text: str | None = None
    """The response's text, where each response is a mapping."""
    rank: str | None = None
    """Its rank, smaller is better."""
    best: str | None = None
    """The column with the index of the best response, from 0: it gets ``rank`` 0, others 1."""
    score: str | None = None
    """A number: its score."""
    label: str | None = None
    """The label: right or acceptable, or not."""
    model: str | None = None
    """The model or person that wrote it."""


class LongRatings(BaseModel):
    """Ratings with one row per response and attribute."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    attribute: str
    """The column with the attribute's name."""
    rating: str
    """The column with the number, which may be missing."""


class Labels(BaseModel):
    """The meanings of the values of the label; each one value or several."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    A: Values = ("A",)
    """The first response was preferred."""
    B: Values = ("B",)
    """The second response was preferred."""
    tie: Values = ("tie",)
    """Neither was."""
    none: Values = (None,)
    """There is no verdict; an empty text counts as null."""


def fields_named(fields: BaseModel, *needed: str) -> dict[str, str]:
    """Return the columns that fields name, by their parameter; required ones have default names."""
    written = fields.model_dump(exclude_defaults=True)
    return {
        f"fields.{name}": written.get(name) or name for name in {**written, **dict.fromkeys(needed)}
    }
