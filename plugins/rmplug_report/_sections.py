"""The sections of the page; each is there only when its input is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc

from rmplug import Fit, text_of

from . import _distributions, _whiskers
from ._findings import explained_by
from ._inputs import Inputs, Row
from ._measured import Measured
from ._palette import FAMILIES, reward_colour
from ._plan import plan
from ._render import Drawing, Numbers
from ._training import clock, training
from ._wording import between, count, name, number, percent, strong

MOST_PANELS = 9


@dataclass(frozen=True)
class Fact:
    """A number to be read at a glance."""

    label: str
    value: str
    aside: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page; ``bars`` names a column of shares that is drawn as bars."""

    caption: str
    numbers: Numbers
    folded: bool = False
    bars: str = ""


@dataclass
class Section:
    """A part of the page with its figures and tables."""

    id: str
    title: str
    lead: Sequence[str] = ()
    facts: Sequence[Fact] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
    legend: Sequence[tuple[str, str]] = ()
    parts: Sequence[Section] = field(default_factory=list)


Maker = Callable[[Inputs, Measured], Section | None]


def sections(inputs: Inputs, measured: Measured) -> list[Section]:
    """Every section that the inputs allow, in the order of the page."""
    makers: list[Maker] = [
        ran,
        data,
        distributions,
        accuracy,
        length,
        why,
        calibrated,
        trained,
        more,
    ]
    found = [make(inputs, measured) for make in makers]
    return [one for one in found if one is not None]


def ran(inputs: Inputs, _: Measured) -> Section | None:
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
        legend=[(family, FAMILIES.get(family, "m8")) for family in families],
    )


def _plain(params: Any) -> Any:
    return json.loads(json.dumps(params, default=str))


def data(inputs: Inputs, _: Measured) -> Section | None:
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
    return Section(
        "data", "The data", _odd_lead(inputs), facts, drawings, [*tables, *_odd_rows(inputs)]
    )


def _facts(inputs: Inputs) -> Iterator[Fact]:
    pairs, gap = inputs.pairs, inputs.gap
    assert pairs is not None and gap is not None
    yield Fact("pairs", f"{len(pairs):,}")
    yield Fact("prompts", f"{len(pairs['group'].unique()):,}", "distinct groups")
    if inputs.subsets is not None:
        yield Fact("subsets", f"{len({one for one in inputs.subsets if one}):,}")
    apart = gap[gap != 0]
    if len(apart):
        said = f"of {count(len(apart), 'pair')} of unequal length"
        yield Fact("longer is chosen", percent(float((apart > 0).mean())), said)
    if len(gap):
        medians = [f"{np.median(inputs.lengths[side]):,.0f}" for side in ("chosen", "rejected")]
        yield Fact("median length", f"{medians[0]} / {medians[1]}", "characters, chosen / rejected")


def _subset_table(inputs: Inputs) -> list[Table]:
    if not inputs.subsets:
        return []
    gap, names = inputs.gap, np.array(inputs.subsets, dtype=object)
    assert gap is not None
    known, sizes = np.unique(names[names != ""].astype(str), return_counts=True)
    rows = []
    for i in np.argsort(-sizes, kind="stable"):
        mask = names == known[i]
        apart = gap[mask & (gap != 0)]
        longer = percent(float((apart > 0).mean())) if len(apart) else "–"
        rows.append((str(known[i]), int(sizes[i]), float(sizes[i] / len(names)), longer))
    columns = ("subset", "pairs", "share", "longer is chosen")
    return (
        [Table("Subsets", Numbers(columns, rows), folded=len(rows) > 12, bars="share")]
        if rows
        else []
    )


def _odd_lead(inputs: Inputs) -> list[str]:
    if inputs.pairs is None or not len(inputs.pairs):
        return []
    texts = [pc.fill_null(text_of(inputs.pairs[side]), "") for side in ("chosen", "rejected")]
    blank = [pc.equal(pc.utf8_trim_whitespace(one), "") for one in texts]
    empty = int(pc.sum(pc.or_(*blank)).as_py() or 0)
    same = int(pc.sum(pc.equal(*texts)).as_py() or 0)
    said = []
    if empty:
        said.append(f"{strong(count(empty, 'pair'))} with an empty response")
    if same:
        said.append(f"{strong(count(same, 'pair'))} with identical responses")
    return [f"Among the pairs of this report: {' and '.join(said)}."] if said else []


def _odd_rows(inputs: Inputs) -> list[Table]:
    rows = [
        (
            step.id,
            notice.what,
            f"{notice.count:,} {notice.of}",
            notice.action,
            ", ".join(notice.ids[:5]),
        )
        for step in inputs.plan.steps
        for notice in step.notices
    ]
    columns = ("step", "what was odd", "how many", "they were", "first of them")
    return [Table("What was odd, counted and named", Numbers(columns, rows))] if rows else []


def distributions(inputs: Inputs, _: Measured) -> Section | None:
    drawings = []
    if inputs.rewards:
        drawings.append(_distributions.margins(inputs))
    if inputs.scores or any(one.chosen is not None for one in inputs.rewards):
        drawings.append(_distributions.rewards(inputs))
    lead = []
    if inputs.rewards_left_out:
        lead = [
            f"The first {len(inputs.rewards)} rewards are shown, "
            f"{inputs.rewards_left_out} more are not."
        ]
    return Section("rewards", "Rewards and margins", lead, drawings=drawings) if drawings else None


def accuracy(inputs: Inputs, measured: Measured) -> Section | None:
    if not measured.accuracies("all"):
        return None
    drawings = [_whiskers.accuracy(inputs, measured)]
    if len(measured.subsets) > 1:
        drawings.append(_whiskers.accuracy_by_subset(inputs, measured))
    models = measured.models if len(measured.models) > 1 else []
    legend = [(name(one), reward_colour(inputs.number(one))) for one in models]
    title = "Accuracy, beside rules that never read"
    return Section("accuracy", title, drawings=drawings, legend=legend)


def length(inputs: Inputs, _: Measured) -> Section | None:
    if inputs.pairs is None or not inputs.rewards or not len(inputs.pairs):
        return None
    drawings = [_distributions.margin_by_gap(inputs)]
    if any(one.chosen is not None and one.rejected is not None for one in inputs.rewards):
        drawings.append(_distributions.reward_by_length(inputs))
    return Section("length", "Reward against length", drawings=drawings)


def why(inputs: Inputs, _: Measured) -> Section | None:
    parts = [_fit(inputs, fit, place) for place, fit in enumerate(inputs.fits)]
    if not parts:
        return None
    return Section("why", "What explains the margin", parts=parts)


def _fit(inputs: Inputs, fit: Fit, place: int) -> Section:
    title, tag = name(fit.name or "fit"), f"{place + 1}"
    drawings = [*_weights(fit, title, tag)]
    if curves := _curves(fit):
        drawings.append(_whiskers.dependence(title, f"dependence-{tag}", curves))
    lead = [sentence] if (sentence := explained_by(inputs, fit)) else []
    facts = list(_fit_facts(fit))
    return Section(f"fit-{tag}", title, lead, facts, drawings, [_fit_numbers(fit)])


def _weights(fit: Fit, title: str, tag: str) -> Iterator[Drawing]:
    """Figures of importance and of coefficients, where the fit has them."""
    for table, value in (("importance", "importance"), ("coefficients", "coefficient")):
        if table not in fit.tables:
            continue
        found = fit.tables[table]
        rows: list[Row] = [row for row in found.to_pylist() if row[value] is not None]
        note = "Change of the prediction per standard deviation of the feature."
        if table == "importance" and "permutation" in found.column_names:
            note = "Mean size of what the feature adds to a prediction (SHAP)."
        elif table == "importance":
            note = "How much worse held-out predictions get when the feature is shuffled."
        if rows:
            heading = f"{table.capitalize()} in {title}"
            yield _whiskers.features(heading, f"{table}-{tag}", rows, value, note)


HELD_OUT = (
    ("r2", "held-out R²", "", "0 is predicting the mean"),
    ("spearman", "rank correlation", "", "0 is chance"),
    ("mae", "mean absolute error", "mae-of-mean", "by predicting the mean"),
    ("auc", "AUC", "", "0.5 is chance"),
    ("accuracy", "accuracy", "accuracy-of-majority", "by the majority"),
    ("log-loss", "log-loss", "log-loss-of-base-rate", "by the base rate"),
)
"""Metric, label, the metric of its floor, and what the floor is."""


def _fit_facts(fit: Fit) -> Iterator[Fact]:
    """Held-out numbers with their intervals, and the floor that nothing but chance reaches."""
    rows = {str(row.get("metric")): row for row in reversed(fit.numbers)}
    for metric, label, lowest, words in HELD_OUT:
        row, under = rows.get(metric), rows.get(lowest)
        if row is None or row.get("value") is None:
            continue
        interval = between(row.get("low"), row.get("high"), 1, 3)
        if under is not None and under.get("value") is not None:
            words = f"{number(under['value'])} {words}"
        yield Fact(label, number(row["value"]), f"{interval}; {words}" if interval else words)


def _fit_numbers(fit: Fit) -> Table:
    rows = [
        (str(row.get("metric")), str(row.get("subset") or "all"), row.get("value"), row.get("low"),
         row.get("high"), row.get("n"))
        for row in fit.numbers
    ]  # fmt: skip
    columns = ("number", "part", "value", "low", "high", "n")
    return Table(f"All numbers of {name(fit.name)}", Numbers(columns, rows), folded=True)


def _curves(fit: Fit) -> list[tuple[str, Any, Any]]:
    """Partial dependence of the features that matter most, at most nine."""
    if "dependence" not in fit.tables:
        return []
    table = fit.tables["dependence"]
    known = table["feature"].unique().to_pylist()
    if "importance" in fit.tables:
        ranked = (
            fit.tables["importance"].sort_by([("importance", "descending")])["feature"].to_pylist()
        )
        known = sorted(known, key=lambda one: ranked.index(one) if one in ranked else len(ranked))
    curves = []
    for feature in known[:MOST_PANELS]:
        part = table.filter(pc.equal(table["feature"], feature)).sort_by("x")
        if part.num_rows > 1:
            curves.append((str(feature), part["x"].to_numpy(), part["y"].to_numpy()))
    return curves


def calibrated(inputs: Inputs, measured: Measured) -> Section | None:
    if not any(measured.reliability(model) for model in measured.models):
        return None
    return Section("calibration", "Calibration", drawings=[_whiskers.calibration(inputs, measured)])


def trained(inputs: Inputs, _: Measured) -> Section | None:
    if not inputs.checkpoints:
        return None
    drawing = training(inputs.checkpoints)
    rows = [
        (
            one.name,
            str(row.get("metric")),
            str(row.get("subset") or "all"),
            row.get("value"),
            row.get("n"),
        )
        for one in inputs.checkpoints
        for row in one.numbers
        if clock(row) is None
    ]
    tables = (
        [Table("Numbers", Numbers(("step", "number", "part", "value", "n"), rows))] if rows else []
    )
    return Section("training", "Training", drawings=[drawing] if drawing else [], tables=tables)


PAGE = {"accuracy", "reliability", "confidence"}


def more(inputs: Inputs, measured: Measured) -> Section | None:
    """Numbers of evaluators that no other section shows."""
    rows = [
        (str(row.get("model") or row.get("step") or ""), str(row["metric"]), str(row["subset"]),
         row["value"], between(row["low"], row["high"], 1, 3), row["n"])
        for row in inputs.metrics
        if row["metric"] not in PAGE and (row["subset"] == "all" or not row.get("model"))
    ]  # fmt: skip
    if not rows:
        return None
    columns = ("of", "metric", "part", "value", "95 % interval", "n")
    lead = ["By subset they are in metrics.json."]
    return Section(
        "numbers",
        "All the numbers",
        lead,
        tables=[Table("Metrics", Numbers(columns, rows), len(rows) > 12)],
    )


def scoreboard(measured: Measured) -> Table | None:
    """Each reward in one line."""
    rows = []
    for model in measured.ranked():
        value = measured.row(model, "accuracy")
        assert value is not None
        over = measured.row(model, "accuracy-over-longer")
        points = "–" if over is None else f"{100 * over['value']:+.1f}".replace("-", "−")
        rows.append((
            model, percent(value["value"]), between(value["low"], value["high"]), points,
            measured.value(model, "log-loss"), measured.value(model, "ece"),
            measured.value(model, "margin-length-pearson"), measured.value(model, "missing"),
            value["n"],
        ))  # fmt: skip
    if not rows:
        return None
    columns = ("reward", "accuracy", "95 % interval", "over longer, points", "log-loss", "ECE",
               "margin ~ length, r", "missing", "pairs")  # fmt: skip
    kept = [i for i in range(len(columns)) if any(row[i] not in (None, "", "–") for row in rows)]
    shown = [tuple(row[i] for i in kept) for row in rows]
    return Table("Rewards at a glance", Numbers([columns[i] for i in kept], shown))
