"""Sections of the plan that ran and of the data it ran on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from rmplug_report.figures import _distributions
from rmplug_report.figures._palette import FAMILY_COLOURS
from rmplug_report.figures._plan_graph import plan
from rmplug_report.figures._render import Numbers
from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._wording import count, percent

from ._section import Fact, Section, Table


def ran(inputs: Inputs, _: MetricLookup) -> Section | None:
    steps = inputs.plan.steps
    if not steps:
        return None
    families = dict.fromkeys(step.family for step in steps)
    rows = [
        (
            s.id,
            s.kind,
            s.family,
            s.gives,
            s.rows,
            s.summary,
            json.dumps(_plain(s.params), sort_keys=True),
        )
        for s in steps
    ]
    columns = ("step", "kind", "family", "gives", "rows", "what it does", "parameters")
    return Section(
        "plan",
        "What ran",
        [f"{count(len(steps), 'step')} led to this report, seed {inputs.plan.seed}."],
        drawings=[plan(inputs.plan)],
        tables=[Table("Every step with its parameters", Numbers(columns, rows), folded=True)],
        legend=[(family, FAMILY_COLOURS.get(family, "m8")) for family in families],
    )


def _plain(params: Any) -> Any:
    return json.loads(json.dumps(params, default=str))


def data(inputs: Inputs, _: MetricLookup) -> Section | None:
    if not inputs.data:
        return None
    facts, drawings, tables = [], [], []
    if inputs.pairs is not None:
        facts = list(_facts(inputs))
        drawings = [_distributions.lengths(inputs)] if len(inputs.pairs) else []
        tables += _subset_table(inputs)
    for other in inputs.data:
        if other is not inputs.pairs:
            facts.append(Fact(other.name or type(other).__name__, f"{len(other):,}", "rows"))
    for one in inputs.measures:
        facts.append(Fact(one.name or "features", f"{len(one.values):,}", "measures per row"))
    tables += [*_notices(inputs), *_checks(inputs)]
    lead = []
    if inputs.pairs is not None:
        lead = [
            "The pairs without any reward: what can be told from lengths and subsets alone, and "
            "what was odd in them."
        ]
    return Section("data", "The data", lead, facts=facts, drawings=drawings, tables=tables)


def _facts(inputs: Inputs) -> Iterator[Fact]:
    pairs, gap = inputs.pairs, inputs.gap
    assert pairs is not None and gap is not None
    yield Fact("pairs", f"{len(pairs):,}")
    yield Fact("prompts", f"{len(pairs['group'].unique()):,}", "distinct groups")
    if inputs.subsets is not None:
        yield Fact("subsets", f"{len({one for one in inputs.subsets if one}):,}")
    apart = gap[gap != 0]
    if len(apart):
        aside = f"of {count(len(apart), 'pair')} of unequal length"
        yield Fact("longer is chosen", percent(float((apart > 0).mean())), aside)
    if len(gap):
        medians = [f"{np.median(inputs.lengths[side]):,.0f}" for side in ("chosen", "rejected")]
        yield Fact("median length", f"{medians[0]} / {medians[1]}", "characters, chosen / rejected")


def _subset_table(inputs: Inputs) -> list[Table]:
    if (gap := inputs.gap) is None:
        return []
    rows = []
    for name, part in sorted(inputs.rows_by_subset.items(), key=lambda one: (-len(one[1]), one[0])):
        apart = gap[part][gap[part] != 0]
        longer = percent(float((apart > 0).mean())) if len(apart) else "–"
        rows.append((name, len(part), len(part) / len(gap), longer))
    columns = ("subset", "pairs", "share", "longer is chosen")
    return (
        [Table("Subsets", Numbers(columns, rows), folded=len(rows) > 12, bars="share")]
        if rows
        else []
    )


def _notices(inputs: Inputs) -> list[Table]:
    rows = [
        (
            step.id,
            notice.what,
            count(notice.count, notice.of.removesuffix("s")),
            notice.action,
            ", ".join(notice.ids[:5]),
        )
        for step in inputs.plan.steps
        for notice in step.notices
    ]
    columns = ("step", "notice", "count", "action", "first ids")
    return [Table("Notices of the steps", Numbers(columns, rows))] if rows else []


def _checks(inputs: Inputs) -> list[Table]:
    rows = [(step.id, check.sentence) for step in inputs.plan.steps for check in step.checks]
    columns = ("step", "check")
    return [Table("Checks of the steps by themselves", Numbers(columns, rows))] if rows else []
