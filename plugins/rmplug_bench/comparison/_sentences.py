"""Sentences about comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rmplug.stats.interval_texts import interval_text, number_text
from rmplug.stats.intervals import Bounds

LEVEL = 0.05


@dataclass(frozen=True)
class Decisions:
    """Number of decisions, their unit, and the number of their prompt groups."""

    number: int
    unit: str
    groups: int

    def __str__(self) -> str:
        if self.groups == self.number:
            return f"{self.number:,} {self.unit}"
        return f"{self.number:,} {self.unit} in {self.groups:,} groups"


@dataclass(frozen=True)
class Compared:
    """One comparison: names, accuracies and the interval of their difference (from 0 to 1), p, p
    after Holm's correction, for how many comparisons, and the minimum detectable difference."""

    names: tuple[str, str]
    accuracies: tuple[float, float]
    bound: Bounds
    p: float
    p_holm: float
    comparisons: int
    detectable: float


def comparison(one: Compared, decisions: Decisions) -> str:
    """Describe whether one model is better than another by the corrected p, and by how much."""
    (name, other), (first, second) = one.names, one.accuracies
    significant = one.p_holm < LEVEL
    head = f"{name} and {other} do not differ significantly"
    if significant:
        head = f"{name} is {'better' if first > second else 'worse'} than {other}"
    details = f"{decisions}; {_tested(one)}"
    low, high = one.bound
    if low is not None and high is not None:
        details = f"95 % CI {interval_text(low, high, 100)}; {details}"
    sentence = (
        f"{head}: accuracy {100 * first:.1f} % and {100 * second:.1f} %, paired difference "
        f"{number_text(100 * (first - second), 1)} points ({details})."
    )
    if significant or not one.detectable < 1:
        return sentence
    power = f"{100 * one.detectable:.1f} points"
    return f"{sentence} Minimum detectable difference at 80 % power: {power}."


def _tested(one: Compared) -> str:
    if one.comparisons == 1:
        return _p(one.p)
    return f"{_p(one.p)}, Holm-corrected for {one.comparisons} comparisons {_p(one.p_holm)}"


def _p(p: float) -> str:
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def cluster(names: Sequence[str], decisions: Decisions) -> str:
    """List the models that do not differ significantly from each other."""
    if len(names) == 1:
        return f"{names[0]} differs significantly from every other model ({decisions})."
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} do not differ significantly from each other ({decisions})."
