"""The plan behind a result, as a report shows it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from rmplug._spec.graph import Node
from rmplug.checks import Check
from rmplug.families import PlanStep, PlanView, family_of
from rmplug.known import Ref
from rmplug.notices import Notice
from rmplug.records import StepRecord

from .scope import Scope


def outline(node: Node, record: StepRecord | None = None) -> PlanStep:
    """Return one step of the plan; rows and notices are filled in once it is done."""
    cls = node.provider.cls
    return PlanStep(
        id=node.id,
        kind=node.provider.kind,
        family=family_of(cls).family,
        summary=(cls.__doc__ or "").strip().splitlines()[0],
        inputs={name: [str(ref) for ref in refs] for name, refs in node.inputs.items()},
        params=readable(node.params),
        gives=node.gives.types[0].__name__,
        rows=record.rows if record else None,
        notices=[Notice(**entry) for entry in record.notices] if record else [],
        seen=record.seen if record else {},
        checks=[Check(**entry) for entry in record.checks] if record else [],
    )


def plan_view(name: str, seed: int, node: Node, scope: Scope) -> PlanView:
    """Return the steps that led to a step's inputs, in the order of work."""
    return behind(name, seed, {ref.step for ref in node.refs()}, scope)


def behind(name: str, seed: int, wanted: Set[str], scope: Scope) -> PlanView:
    """Return these steps and those that led to them, in the order of work."""
    wanted, steps = set(wanted), []
    for step_id, step in reversed(scope.plan.items()):
        if step_id in wanted:
            steps.append(step)
            wanted |= {Ref.parse(text).step for refs in step.inputs.values() for text in refs}
    return PlanView(name, seed, steps[::-1])


def identity_of(plan: PlanView) -> list[Any]:
    """Return the part of a plan that belongs to a fingerprint: all that is known before running."""
    steps = [[step.id, step.kind, step.inputs, step.params] for step in plan.steps]
    return [plan.name, plan.seed, steps]


def readable(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as a report may show them: names of files without their folders on this
    machine."""

    def shown(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("/"):
            return Path(value).name
        if isinstance(value, list):
            return [shown(entry) for entry in value]
        return value

    return {name: shown(value) for name, value in params.items() if name != "steps"}
