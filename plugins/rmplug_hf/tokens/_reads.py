"""The tokens of a row whose own output is read: what other tokens give there is not needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from rmplug.arrays import Array

from ._tokenizing import Tokens

Reads: TypeAlias = Callable[[Tokens], Array]
"""Tells the indices of these tokens, in their order; there is one at least."""
Place: TypeAlias = Literal["first", "last", "last but padding"]
"""The token of a row that a head reads, the last being that of its length or of its ids: a row may
end in tokens that padding is made of, above all where these end a turn."""


def last_token(row: Tokens) -> Array:
    """Return the index of the last token of a row."""
    return np.array([len(row) - 1])


def first_token(_: Tokens) -> Array:
    """Return the index of the first token of a row."""
    return np.array([0])


def all_tokens(row: Tokens) -> Array:
    """Return the indices of all tokens of a row."""
    return np.arange(len(row))


def reads_at(place: Place | None, pad: int | None) -> Reads:
    """Return what tells the token at a place; that of all, where there is none."""

    def last_but_padding(row: Tokens) -> Array:
        others = np.flatnonzero(row.ids != pad)
        return others[-1:] if len(others) else first_token(row)

    if place is None:
        return all_tokens
    return {"first": first_token, "last": last_token}.get(place, last_but_padding)


def read_of(rows: Sequence[Tokens], reads: Reads) -> Array:
    """Return the indices of tokens that are read, of shape (rows, most of a row): the last of a
    row again where it has fewer."""
    each = [reads(row) for row in rows]
    most = np.arange(max(map(len, each)))
    return np.array([one[np.minimum(most, len(one) - 1)] for one in each], dtype=np.int64)
