"""The columns of features that compare the two responses of a pair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTHING_TO_LEARN = "there is nothing to learn from: set ngrams: true or give features"


def signed_columns(columns: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Yield the columns that change sign when the responses are exchanged: a column and none, or
    one of the chosen response and its counterpart."""
    for name in columns:
        first, _, rest = name.partition(".")
        if first in ("difference", "margin"):
            yield name, ""
        other = f"rejected.{rest}" if rest else "rejected"
        if first == "chosen" and other in columns:
            yield name, other
