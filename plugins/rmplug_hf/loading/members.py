"""The members of an ensemble, or the outputs of one model: their scales, their names, and the
columns of their scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from rmplug import Known
from rmplug.errors import did_you_mean, some

MEMBER = ".member."
"""What stands between a column and the member that it is of."""
SIDES = ("chosen", "reward")
"""The columns, before `.member.`, that a member has one of: of pairs, and of responses."""


class Scale(BaseModel):
    """The mean and spread of scores, on data that you choose."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    mean: float = 0.0
    """Their mean."""
    deviation: float = Field(gt=0)
    """Their standard deviation."""


class Combination(BaseModel):
    """The parameters of a combination of several members' scores."""

    model_config = ConfigDict(defer_build=True)

    combine: Literal["mean", "weighted", "median", "minimum", "pessimistic"] = "mean"
    """The combination of the members' scores: `weighted` is the sum of `weights` times scores,
    `minimum` the worst case (Coste et al. 2023), `pessimistic` the mean minus `k` standard
    deviations (over the members, divided by their number)."""
    weights: Mapping[str, FiniteFloat] = Field(default_factory=dict)
    """The weight of each member by its step, for `weighted`; they need not add up to 1, and may be
    below 0."""
    k: float = Field(default=1.0, ge=0)
    """The number of standard deviations that `pessimistic` subtracts."""
    scales: Mapping[str, Scale] = Field(default_factory=dict)
    """Mean and deviation of members' scores by their step: each score becomes
    `(score - mean) / deviation` before it is combined or kept. Give them for all members or for
    none, here or by the input `reference`."""

    @model_validator(mode="after")
    def _weights_are_used(self) -> Self:
        if (self.combine == "weighted") != bool(self.weights):
            raise ValueError(
                "combine: weighted and weights go together: give both, or leave out both"
            )
        return self

    def unmatched_members(
        self, names: Sequence[str] | None, reference: Sequence[Known]
    ) -> Iterator[tuple[str, str]]:
        """Yield the faults of weights and scales for members of these names, if they are known."""
        measured = next(iter(reference), None)
        if measured is not None and self.scales:
            yield "scales", f"scales are given twice: here, and by {measured.step}"
        if names is None:
            return
        for parameter, given in (("weights", self.weights), ("scales", self.scales)):
            yield from ((parameter, fault) for fault in unmatched(parameter, given, names))
        if measured is not None and measured.outputs is not None:
            faults = unmatched("scales", measured.outputs, names)
            yield from (("reference", f"{measured.step}: {fault}") for fault in faults)


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
    """Return the members, or else the outputs, whose scores a reward has, by the names of its
    columns."""
    if rewards.columns is None:
        return None
    return tuple(score_columns(rewards.columns))


def score_columns(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the columns of scores, one of responses or two of pairs: of each member where there
    are members (`chosen.member.<step>`), else of each output of the one model (`chosen` of the one
    called `reward`, `chosen.<output>`)."""
    named = list(names)
    joint = MEMBER if any(MEMBER in name for name in named) else "."
    columns: dict[str, list[str]] = {}
    for name in named:
        head, _, member = name.partition(joint)
        if head in (*SIDES, "rejected") and (member or joint == "."):
            columns.setdefault(member or "reward", []).append(name)
    return columns


def mismatch(scales: Iterable[str], outputs: Sequence[str]) -> str | None:
    """Return the fault of scales that are not those of a model's outputs; None where they are."""
    measured = list(scales)
    if set(measured) == set(outputs):
        return None
    return (
        f"it measured the scores of {some(measured)}, and the model gives {some(outputs)}; measure "
        "the rewards of this very model (of an ensemble with members: false)"
    )
