"""The document ``audit.json``: what an audit found, for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Letter: TypeAlias = Literal["A", "B", "C", "D", "F", "cannot tell"]
Verdict: TypeAlias = Literal[
    "exploited", "sensitive", "not punished", "as intended", "none found", "cannot tell"
]


class Part(BaseModel):
    """A part of the document."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", defer_build=True, use_attribute_docstrings=True
    )


class Estimate(Part):
    """A value with its 95 % interval, and the number of prompts or rows that it was measured on, as
    the step that measured it counts them."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None


class Number(Estimate):
    """A number of one model."""

    model: str
    """The reward that it is of."""


class Fall(Estimate):
    """The strongest fall of the reward by a change of a family that keeps the quality: its size."""

    change: str
    """The change, with its dose."""
    verdict: Verdict
    """``sensitive`` where such a fall is found: a form is undervalued, which is no exploit."""


class Grade(Number):
    """The grade of a family of exploits. The value is the effect of its strongest member in the
    exploited direction, in standard deviations of the model's reward within a prompt: a rise of
    the reward, or a fall by a change that improves the response; below 0 where all go the other
    way."""

    theme: str
    """The family of exploits, such as ``length``."""
    grade: Letter
    """A to F by the bounds of the interval; ``cannot tell`` where neither an exploit was shown nor
    one of the named size could have been found with 80 % power."""
    strongest: str
    """The change with the strongest effect, with its dose; empty where it is not known."""
    falls: bool
    """Whether the strongest change lowers the reward."""
    fall: Fall | None
    """The strongest fall by what keeps the quality; it does not count for the grade."""
    unpunished: Sequence[str]
    """Changes for the worse that do not lower the reward."""
    power: float | None
    """The least power over the members, for an effect of the named size."""
    tested: int
    """Perturbations of the family that have an effect."""


class Effect(Number):
    """The mean change of the reward by a perturbation, in standard deviations of the model's reward
    within a prompt."""

    perturbation: str
    theme: str
    dose: int
    """The strength at which the perturbation was applied."""
    intention: str
    """What the change does to quality: ``keeps``, ``improves`` or ``worsens``."""
    subset: str
    """The part of the data; ``all`` for the whole."""
    p: float | None
    """p-value of no effect, of this test alone."""
    q: float | None
    """p-value after false-discovery control over the battery."""
    power: float | None
    """Power for an effect of the named size."""
    detectable: float | None
    """The least effect that is found with 80 % power."""
    length_alone: float | None
    """The effect that the change in length alone would have."""
    verdict: Verdict


class Measure(Number):
    """Another number about a perturbation: a share of preferences that turn, an accuracy."""

    metric: str
    perturbation: str
    theme: str
    dose: int | None
    subset: str
    member: str
    """Of an extreme over several changes: the one that it is of."""
    verdict: str
    """What the step that measured it says of it; empty where it says nothing."""


class Exploit(Estimate):
    """An exploit that a search found. The value is its effect on prompts that the search did not
    use, in standard deviations within a prompt."""

    search: str
    """The step that searched."""
    name: str
    steps: str
    """The edits, in words."""
    wins: float | None
    """The share of prompts where the changed response beats the good one."""
    p_holm: float | None
    """p-value of no effect, with Holm's correction for all that were found."""
    confirmed: bool
    """Whether it raises the reward on prompts that the search did not use."""
    in_sample: float | None
    """The effect on the prompts of the search, which favours it."""


class Repair(Part):
    """A perturbation's effect before and after a repair, on the same prompts."""

    step: str
    """The step that tested again."""
    model: str
    """The reward after the repair."""
    other: str
    """The reward before."""
    perturbation: str
    theme: str
    dose: int | None
    targeted: bool
    """Whether the repair is meant for it."""
    before: Estimate | None
    after: Estimate | None
    change: Estimate
    """The paired change, after minus before."""
    remaining: Estimate | None
    """The share of the effect that is left."""
    power: float | None
    verdict: str
    """``repaired``, ``not repaired``, ``worse``, ``slightly worse``, ``nothing to repair`` or
    ``cannot tell``."""


class Example(Part):
    """A response beside its changed copy. Texts may be cut; ``cut`` says so."""

    model: str
    perturbation: str
    theme: str
    dose: int
    intention: str
    id: str
    """The id of the original."""
    prompt: str
    before: str
    after: str
    reward_before: float
    reward_after: float
    cut: bool


class Sentence(Part):
    """A finding in words."""

    about: str
    text: str


class Threshold(Part):
    """The rule of a grade."""

    grade: Letter
    rule: str
    meaning: str


class Audit(Part):
    """What an audit found."""

    format: Literal[1] = 1
    name: str
    """The name of the run."""
    seed: int
    size: float
    """The size of an effect that power is stated for, in standard deviations within a prompt."""
    headline: str
    findings: Sequence[Sentence]
    thresholds: Sequence[Threshold]
    grades: Sequence[Grade]
    effects: Sequence[Effect]
    measures: Sequence[Measure]
    exploits: Sequence[Exploit]
    repairs: Sequence[Repair]
    repair_measures: Sequence[Measure]
    """Accuracy before and after each repair, and other numbers of the tests after a repair."""
    examples: Sequence[Example]
    not_looked_at: Sequence[str]
    """What the audit says nothing about."""


def audit_schema() -> dict[str, Any]:
    """Make the JSON Schema of ``audit.json``."""
    return {"$schema": DIALECT, **Audit.model_json_schema(mode="serialization")}


if __name__ == "__main__":
    print(json.dumps(audit_schema(), indent=1, ensure_ascii=False, sort_keys=True))
