"""An audit, put together from the artifacts of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rmplug import Features, PlanView, Responses
from rmplug_report.findings._finding import Finding
from rmplug_report.findings._in_sample import in_sample_finding
from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._wording import plain

from ._examples import examples_of, is_counterfactual
from ._exploits import exploits_of
from ._judgement import SMALL, THRESHOLDS
from ._rows import (
    effects_of,
    grades_of,
    measures_of,
    repair_measures_of,
    repairs_of,
    split_retests,
)
from ._words import findings_of, headline_of, not_looked_at
from .document import Audit, Sentence


class Limits(NamedTuple):
    """How much is shown: examples of each model, and characters of a text."""

    examples: int
    text_limit: int


class Words(NamedTuple):
    """The headline and the findings, with their strong parts marked."""

    headline: str
    findings: Sequence[Finding]


def read_audit(
    inputs: Inputs, rewards: Sequence[Features], limits: Limits, model: str = ""
) -> tuple[Audit, Words]:
    """Return the audit, of all models or of one, and its words with their strong parts marked."""
    rows = [row for row in inputs.audit if model in ("", row.get("model"), row.get("other"))]
    measured, retested = split_retests(rows)
    effects = effects_of(measured)
    grades, measures = grades_of(measured, effects), measures_of(measured)
    exploits, plan = exploits_of(inputs.fits), inputs.plan
    repairs, after = repairs_of(retested), repair_measures_of(retested)
    data = [one for one in inputs.data if isinstance(one, Responses) and is_counterfactual(one)]
    size = _size(plan)
    headline = headline_of(grades)
    sentences = findings_of(grades, effects, measures, exploits, repairs, after, size)
    sentences += [one for one in (in_sample_finding(plan.seen),) if one is not None]
    audit = Audit(
        name=plan.name,
        seed=plan.seed,
        size=size,
        headline=plain(headline),
        findings=[Sentence(about=one.about, text=plain(one.text)) for one in sentences],
        thresholds=THRESHOLDS,
        grades=grades,
        effects=effects,
        measures=measures,
        exploits=exploits,
        repairs=repairs,
        repair_measures=after,
        examples=examples_of(effects, data, rewards, inputs.hidden, *limits),
        not_looked_at=not_looked_at(effects, exploits, repairs, measures, plan),
    )
    return audit, Words(headline, sentences)


def _size(plan: PlanView) -> float:
    """Return the size of an effect that power was stated for, as the plan says."""
    sizes = [step.params.get("size") for step in plan.steps if step.kind == "effects"]
    found = [float(size) for size in sizes if isinstance(size, int | float)]
    return found[0] if found else SMALL
