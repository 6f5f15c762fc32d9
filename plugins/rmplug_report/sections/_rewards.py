"""Sections of rewards, their accuracy, length and calibration, and of numbers without a figure."""

from __future__ import annotations

from rmplug_report.figures import _accuracy, _distributions, _length_plots, _reliability
from rmplug_report.figures._palette import reward_colour
from rmplug_report.figures._render import Numbers
from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import titled
from rmplug_report.inputs._row_forms import is_plain, sentences
from rmplug_report.inputs._wording import between, label, percent, signed

from ._benchmarks import model_by_subset
from ._section import Section, Table


def distributions(inputs: Inputs, _: MetricLookup) -> Section | None:
    drawings = []
    if inputs.rewards:
        drawings.append(_distributions.margins(inputs))
    if inputs.scores or any(one.chosen is not None for one in inputs.rewards):
        drawings.append(_distributions.rewards(inputs))
    lead = [
        "The scores that each reward gives, and its margins: the score of the chosen response less "
        "that of the rejected one. A margin above 0 is right."
        if inputs.rewards
        else "The scores that each reward gives."
    ]
    if inputs.rewards_left_out:
        lead.append(
            f"The first {len(inputs.rewards)} rewards are shown, "
            f"{inputs.rewards_left_out} left out."
        )
    return Section("rewards", "Rewards and margins", lead, drawings=drawings) if drawings else None


def accuracy(inputs: Inputs, lookup: MetricLookup) -> Section | None:
    if not lookup.accuracies("all"):
        return None
    drawings = [_accuracy.accuracy(inputs, lookup)]
    if len(lookup.subsets) > 1:
        drawings.append(_accuracy.accuracy_by_subset(inputs, lookup))
    rows = [row for subset in lookup.subsets for row in lookup.accuracies(subset)]
    drawings += model_by_subset("accuracy-matrix", [r for r in rows if r["kind"] == "model"])
    models = lookup.models if len(lookup.models) > 1 else []
    legend = [(label(one), reward_colour(inputs.number(one))) for one in models]
    title = "Accuracy and baselines"
    lead = [
        "The share of pairs in which the reward of the chosen response is higher, with its 95 % "
        "interval. Baselines do not understand texts: a reward is of use where it is above them."
    ]
    return Section("accuracy", title, lead, drawings=drawings, legend=legend)


def length(inputs: Inputs, _: MetricLookup) -> Section | None:
    if inputs.pairs is None or not inputs.rewards or not len(inputs.pairs):
        return None
    drawings = [_length_plots.margin_by_gap(inputs)]
    if any(one.chosen is not None and one.rejected is not None for one in inputs.rewards):
        drawings.append(_length_plots.reward_by_length(inputs))
    lead = [
        "Whether longer responses get more reward. A reward may favour length, or what it measures "
        "may go with length: only pairs of like length tell these apart."
    ]
    return Section("length", "Reward against length", lead, drawings=drawings)


def calibrated(inputs: Inputs, lookup: MetricLookup) -> Section | None:
    if not any(lookup.reliability(model) for model in lookup.models):
        return None
    lead = [
        "Whether the probability that a margin stands for is the share of pairs that it decides "
        "right: on the diagonal it is, below it the reward is too sure."
    ]
    drawings = [_reliability.calibration(inputs, lookup)]
    return Section("calibration", "Calibration", lead, drawings=drawings)


PAGE = {"accuracy", "reliability", "confidence"}


def more(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of evaluators' numbers that no other section shows."""
    plain = [row for row in inputs.metrics if is_plain(row) and not row.get("finding")]
    rows = [
        (str(row.get("model") or row.get("step") or ""), titled(str(row["metric"])),
         str(row["subset"]), row["value"], between(row["low"], row["high"], 1), row["n"])
        for row in plain
        if row["metric"] not in PAGE and (row["subset"] == "all" or not row.get("model"))
    ]  # fmt: skip
    notes = sentences(plain)
    if not rows and not notes:
        return None
    columns = ("of", "metric", "part", "value", "95 % CI", "n")
    tables = [Table("Metrics", Numbers(columns, rows), len(rows) > 12)] if rows else []
    lead = ["By subset they are in metrics.json."] if rows else []
    return Section("numbers", "All metrics", lead, tables=tables, notes=notes)


def scoreboard(lookup: MetricLookup) -> Table | None:
    """Return a table with one line for each reward."""
    rows = []
    for model in lookup.ranked():
        value = lookup.row(model, "accuracy")
        assert value is not None
        over = lookup.row(model, "accuracy-over-longer")
        points = "–" if over is None else signed(over["value"], share=True)
        rows.append((
            model, percent(value["value"]), between(value["low"], value["high"]), points,
            lookup.value(model, "log-loss"), lookup.value(model, "ece"),
            lookup.value(model, "margin-length-pearson"), lookup.value(model, "missing"),
            value["n"],
        ))  # fmt: skip
    if not rows:
        return None
    columns = ("reward", "accuracy", "95 % CI", "over longer, points", "log-loss", "ECE",
               "margin ~ length, r", "missing", "pairs")  # fmt: skip
    kept = [i for i in range(len(columns)) if any(row[i] not in (None, "", "–") for row in rows)]
    shown = [tuple(row[i] for i in kept) for row in rows]
    return Table("Rewards at a glance", Numbers([columns[i] for i in kept], shown))
