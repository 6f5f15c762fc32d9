"""The columns of counterfactual tables: originals, and copies of them that differ in one way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from rmplug import Known, Pairs, Responses
from rmplug.known import ColumnType

COLUMNS: Mapping[str, ColumnType] = {
    "original": "text",
    "perturbation": "text",
    "theme": "text",
    "dose": "number",
    "intention": "text",
}
"""What a counterfactual table says of each row, with the types of the values."""


def foreseen(data: Known) -> Known:
    """Foresee the counterfactual table of pairs or responses."""
    from rmplug.data.sides import response_columns

    known = Known((Responses,), step=data.step)
    if data.columns is None or not data.is_a(Pairs, Responses):
        return known
    if data.is_a(Responses):
        types = {name: data.type_of(name) for name in data.columns}
        return replace(known, columns={**types, **COLUMNS})
    if data.is_a(Pairs):
        return replace(known, columns=[*response_columns(list(data.columns)), *COLUMNS])
    return known


def taken(data: Known) -> Iterator[str]:
    """Explain that data have a column that a counterfactual table needs for itself."""
    for name in COLUMNS:
        if name in (data.columns or ()):
            yield refusal(data.step, name)


def refusal(data: str, column: str) -> str:
    return f"{data} has a column {column!r} already; give the data without changed copies"
