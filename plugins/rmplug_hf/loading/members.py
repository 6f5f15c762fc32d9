"""The members of an ensemble: their scales, their names, and the columns of their scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydantic import BaseModel, ConfigDict, Field

from rmplug import Known
from rmplug.errors import did_you_mean, some

SIDES = ("chosen", "reward")
"""The columns, before `.member.`, that a member has one of: of pairs, and of responses."""


class Scale(BaseModel):
    """The mean and spread of a member's scores, on data that you choose."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    mean: float = 0.0
    """Their mean."""
    deviation: float = Field(gt=0)
    """Their standard deviation."""


def unmatched(what: str, given: Iterable[str], members: Sequence[str]) -> Iterator[str]:
    """Yield the faults of what is given by member: for all of them, for no other, or not at all."""
    names = list(given)
    for name in names:
        if name not in members:
            hint = did_you_mean(name, members)
            yield f"{what} names {name!r}, which is no member{hint}; members are {some(members)}"
    missing = [name for name in members if name not in names] if names else []
    if missing:
        one = what.removesuffix("s")
        yield f"{what} lacks {some(missing)}; give the {one} of every member, or of none"


def members_of(rewards: Known) -> tuple[str, ...] | None:
    """Return the members whose scores a reward has, by the names of its columns."""
    if rewards.columns is None:
        return None
    ends = (name.partition(".member.") for name in rewards.columns)
    return tuple(dict.fromkeys(member for head, _, member in ends if head in SIDES and member))
