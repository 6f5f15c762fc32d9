"""Sentences of a certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rmplug.errors import some

from ._asked import Asked
from ._settings import TokenDifference

if TYPE_CHECKING:
    from ._certificate import Tried


def difference_sentence(
    names: tuple[str, str], rows: Sequence[Mapping[str, Any]], asked: Asked, same: bool
) -> str:
    """Tell how far apart two ways are."""
    value = {row["metric"]: row["value"] for row in rows}
    what = "margins" if asked.margins else "scores"
    verb = "are the same up to rounding" if same else "differ"
    text = (
        f"The {what} of {names[0]} and {names[1]} {verb}: largest difference "
        f"{_short(value['largest-difference'])}, mean {_short(value['mean-difference'])}, on "
        f"{len(asked.given)} {what} with a standard deviation of {_short(value['score-deviation'])}"
    )
    flips = next((row for row in rows if row["metric"] == "flipped"), None)
    if flips is not None:
        text += f"; {flips['value']:.1%} of {flips['n']} decisions flipped"
    return text + "."


def token_sentence(names: tuple[str, str], tokens: TokenDifference) -> str:
    """Tell where tokens differ first."""
    if not tokens.rows:
        return f"{names[0]} and {names[1]} read the same tokens in all {tokens.of} texts."
    return (
        f"{names[0]} and {names[1]} read different tokens in {tokens.rows} of {tokens.of} texts, "
        f"first in {tokens.id} at token {tokens.place}: {tokens.tokens[0]} and {tokens.tokens[1]}."
    )


def explanation_sentence(
    names: tuple[str, str], explaining: Sequence[Tried], nearest: Sequence[Tried], left: float
) -> str:
    """Tell which settings explain the difference, or that none of those tried does."""
    if not explaining:
        came = f"; the nearest was {nearest[0].setting}" if nearest else ""
        nears = f" (it leaves {_short(nearest[0].left)} of {_short(left)})" if nearest else ""
        return (
            f"Nothing that was tried explains the difference of {names[0]} and {names[1]}"
            f"{came}{nears}."
        )
    listed = some([one.setting for one in explaining], 5)
    verb = "explains" if len(explaining) == 1 else "each explain"
    return (
        f"{listed} {verb} the difference of {names[0]} and {names[1]}: with it the largest is "
        f"{_short(min(one.left for one in explaining))} instead of {_short(left)}."
    )


def _short(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.3g}"
