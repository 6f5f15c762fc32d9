"""Sections of fits and of training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc

from rmplug import Checkpoint, Fit
from rmplug.models.training_examples import ReadText
from rmplug_report.figures import _feature_effects
from rmplug_report.figures._render import Drawing, Numbers
from rmplug_report.figures._training_curves import clock, training
from rmplug_report.findings._fits import (
    explained,
    is_chance,
    is_positive_by_construction,
    target_of,
)
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import titled
from rmplug_report.inputs._row_forms import is_placed, sentences
from rmplug_report.inputs._shares import has_shares
from rmplug_report.inputs._training_examples import examples_of
from rmplug_report.inputs._wording import between, count, interval, label, number, visible

from ._section import Fact, ReadExample, Section, Table

MOST_PANELS = 9


def why(inputs: Inputs, _: MetricLookup) -> Section | None:
    explaining = [fit for fit in inputs.fits if _explains(fit) and not has_shares(fit)]
    parts = [_fit(inputs, fit, index) for index, fit in enumerate(explaining)]
    if not parts:
        return None
    margins = all(target_of(inputs, fit).endswith("margin") for fit in explaining)
    title = "What explains the margin" if margins else "What the fits explain"
    lead = [
        "How much of it features of the texts predict on prompts that the fit has not seen, and "
        "which of them the fit uses. What a fit uses need not be the cause."
    ]
    return Section("why", title, lead, parts=parts)


def _explains(fit: Fit) -> bool:
    """Check whether a fit reports on features or on its prediction as a whole."""
    return bool({"importance", "coefficients", "dependence", "rows"} & set(fit.tables)) or any(
        str(row.get("subset") or "all") == "all" and row.get("metric") in KNOWN
        for row in fit.numbers
        if not is_placed(row)
    )


def _fit(inputs: Inputs, fit: Fit, index: int) -> Section:
    title, tag = label(fit.name or "fit"), f"{index + 1}"
    drawings = [*_weights(fit, title, tag)]
    if curves := _curves(fit):
        drawings.append(_feature_effects.dependence(title, f"dependence-{tag}", curves))
    lead = [sentence] if (sentence := explained(inputs, fit)) else []
    if is_positive_by_construction(fit) and is_chance(fit):
        lead.append(
            "Mean |SHAP| is above zero whatever a fit explains; it is not shown, as no held-out "
            "number is better than chance. The table is in metrics.json."
        )
    facts = list(_fit_facts(fit))
    return Section(f"fit-{tag}", title, lead, facts, drawings, [_fit_numbers(fit)])


def _weights(fit: Fit, title: str, tag: str) -> Iterator[Drawing]:
    """Yield figures of importance and of coefficients, where the fit has them."""
    for table, value in (("importance", "importance"), ("coefficients", "coefficient")):
        if table not in fit.tables:
            continue
        weights = fit.tables[table]
        rows: list[Row] = [row for row in weights.to_pylist() if row[value] is not None]
        note = "Change of the prediction per unit of the feature."
        if "per" in weights.column_names and rows:
            note = f"Change of the prediction per {rows[0]['per']}."
        by_construction = table == "importance" and is_positive_by_construction(fit)
        if by_construction and is_chance(fit):
            continue
        if by_construction:
            note = "Mean |SHAP|: the mean size of what the feature adds to a prediction."
        elif table == "importance":
            note = "How much worse held-out predictions get when the feature is shuffled."
        if rows:
            heading = f"{table.capitalize()} in {title}"
            yield _feature_effects.features(heading, f"{table}-{tag}", rows, value, note)


HELD_OUT = (
    ("r2", "held-out R²", "", "0 is predicting the mean"),
    ("spearman", "rank correlation", "", "0 is chance"),
    ("mae", "mean absolute error", "mae-of-mean", "by predicting the mean"),
    ("auc", "AUC", "", "0.5 is chance"),
    ("accuracy", "accuracy", "accuracy-of-majority", "by the majority"),
    ("log-loss", "log-loss", "log-loss-of-base-rate", "by the base rate"),
)
"""Metric, title, the metric of its floor, and the floor in words."""


KNOWN = frozenset(metric for metric, *_ in HELD_OUT)


def _fit_facts(fit: Fit) -> Iterator[Fact]:
    """Yield held-out numbers with their intervals, and the floor that chance alone reaches."""
    whole = [row for row in fit.numbers if str(row.get("subset") or "all") == "all"]
    rows = {str(row.get("metric")): row for row in reversed(whole)}
    for metric, title, lowest, words in HELD_OUT:
        row, under = rows.get(metric), rows.get(lowest)
        if row is None or row.get("value") is None:
            continue
        bounds = interval(row.get("low"), row.get("high"), 1)
        if under is not None and under.get("value") is not None:
            words = f"{number(under['value'])} {words}"
        yield Fact(title, number(row["value"]), f"{bounds}; {words}" if bounds else words)


def _fit_numbers(fit: Fit) -> Table:
    rows = [
        (titled(str(row["metric"])), str(row.get("subset") or "all"), row.get("value"),
         row.get("low"), row.get("high"), row.get("n"))
        for row in fit.numbers
    ]  # fmt: skip
    columns = ("number", "part", "value", "low", "high", "n")
    return Table(f"All numbers of {label(fit.name)}", Numbers(columns, rows), folded=True)


def _curves(fit: Fit) -> list[tuple[str, Any, Any]]:
    """Return the partial dependence of the most important features, at most nine."""
    if "dependence" not in fit.tables:
        return []
    table = fit.tables["dependence"]
    names = table["feature"].unique().to_pylist()
    if "importance" in fit.tables:
        ranked = (
            fit.tables["importance"].sort_by([("importance", "descending")])["feature"].to_pylist()
        )
        names = sorted(names, key=lambda one: ranked.index(one) if one in ranked else len(ranked))
    curves = []
    for feature in names[:MOST_PANELS]:
        part = table.filter(pc.equal(table["feature"], feature)).sort_by("x")
        if part.num_rows > 1:
            curves.append((str(feature), part["x"].to_numpy(), part["y"].to_numpy()))
    return curves


def trained(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section of training curves, and the numbers of checkpoints and of other fits."""
    made: list[Fit | Checkpoint] = [
        fit
        for fit in inputs.fits
        if not _explains(fit) and not any(is_placed(row) for row in fit.numbers)
    ]
    made += inputs.checkpoints
    if not made:
        return None
    drawing = training(inputs.checkpoints)
    rows = [
        (
            one.name,
            _measured_of(row),
            titled(str(row["metric"])),
            str(row.get("subset") or "all"),
            row.get("value"),
            between(row.get("low"), row.get("high"), 1),
            row.get("n"),
        )
        for one in made
        for row in one.numbers
        if clock(row) is None and row.get("at") is None
    ]
    columns = ("step", "of", "number", "part", "value", "95 % CI", "n")
    tables = [Table("Numbers", Numbers(columns, rows), folded=len(rows) > 20)] if rows else []
    title = "Training" if inputs.checkpoints else "What was fitted"
    notes = sentences(row for one in made for row in one.numbers)
    drawings = [drawing] if drawing else []
    examples = [one for made in inputs.checkpoints for one in _examples(inputs, made)]
    lead = ["What was learnt from the training data, and numbers that the training measured."]
    return Section("training", title, lead, drawings=drawings, tables=tables, notes=notes,
                   examples=examples)  # fmt: skip


def _examples(inputs: Inputs, made: Checkpoint) -> Iterator[ReadExample]:
    """Yield the examples of a training as its model reads them."""
    for example in examples_of(made):
        yield ReadExample(
            [(_read_title(made, text), _read(inputs, text)) for text in example.texts]
        )


def _read_title(made: Checkpoint, text: ReadText) -> str:
    cut = "; cut, the conversation is longer than the model takes" if text.cut else ""
    tokens = count(text.tokens, "token")
    return f"{label(made.name)}: {label(text.id)}, {label(text.side)}; {tokens}{cut}"


def _read(inputs: Inputs, text: ReadText) -> str:
    if objection := inputs.checked.objection(text):
        return objection
    between_them = f"\n… {count(text.left_out, 'character')} left out …\n" if text.left_out else ""
    return f"{visible(text.begin)}{between_them}{visible(text.end)}"


def _measured_of(row: Row) -> str:
    """Return the model that a number is about, or one model minus another."""
    names = [str(row[key]) for key in ("model", "other") if row.get(key)]
    return " − ".join(names)
