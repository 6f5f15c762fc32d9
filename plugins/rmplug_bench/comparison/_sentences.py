"""What a comparison says, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.05

RULES = {
    "longer": "choosing the longer response",
    "shorter": "choosing the shorter response",
    "most-markdown": "choosing the response with most markdown",
    "least-markdown": "choosing the response with least markdown",
    "first-position": "choosing the response published first",
    "last-position": "choosing the response published last",
    "first-character": "judging by the first character",
    "n-gram": "judging by words and pairs of words",
    "random": "choosing at random",
}


@dataclass(frozen=True)
class Decisions:
    """How many decisions, of what, from how many prompt groups."""

    number: int
    unit: str
    groups: int

    def __str__(self) -> str:
        if self.groups == self.number:
            return f"{self.number:,} {self.unit}"
        return f"{self.number:,} {self.unit} in {self.groups:,} groups"


@dataclass(frozen=True)
class Compared:
    """One comparison: names, accuracies, half the interval, p, corrected p and for how many."""

    names: tuple[str, str]
    accuracies: tuple[float, float]
    half: float | None
    p: float
    p_holm: float
    comparisons: int
    detectable: float


def comparison(one: Compared, decisions: Decisions) -> str:
    """Whether one model is better than another, by how much, and how sure that is."""
    first, second = (100 * accuracy for accuracy in one.accuracies)
    name, other = one.names[0], RULES.get(one.names[1], one.names[1])
    swapped = first < second
    if one.p_holm < LEVEL:
        head = f"{name} is {'worse' if swapped else 'better'} than {other}"
    else:
        head = f"{name} and {other} cannot be told apart here"
    spread = "" if one.half is None else f" ± {100 * one.half:.1f}"
    said = (
        f"{head}: {first:.1f} against {second:.1f} % right, "
        f"difference {abs(first - second):.1f}{spread} points ({decisions}; {_chance(one)})"
    )
    if one.p_holm < LEVEL or not one.detectable < 1:
        return f"{said}."
    return (
        f"{said}. A difference of {100 * one.detectable:.1f} points would be found "
        "four times in five."
    )


def _chance(one: Compared) -> str:
    if one.comparisons == 1:
        return _p(one.p)
    return f"{_p(one.p)}, corrected for {one.comparisons} comparisons {_p(one.p_holm)}"


def _p(p: float) -> str:
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def cluster(names: Sequence[str], decisions: Decisions) -> str:
    """Which models are not told apart from each other."""
    if len(names) == 1:
        return f"{names[0]} is told apart from every other model here ({decisions})."
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} cannot be told apart from each other here ({decisions})."
