"""Findings of the page: sentences that are only written where the numbers support them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rmplug.notices import Notice
from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import baseline_name
from rmplug_report.inputs._shares import has_shares
from rmplug_report.inputs._wording import (
    count,
    decimal,
    interval,
    label,
    listed,
    percent,
    plain,
    strong,
)

from ._accuracy import accuracy_finding, accuracy_headline, called
from ._benchmarks import benchmark_findings, benchmark_headline
from ._curves import curve_findings, curve_headline
from ._directions import directions_findings
from ._finding import Finding
from ._fits import explained, explained_parts
from ._in_sample import in_sample_finding
from ._quality import quality_findings
from ._shares import share_findings

MOST_FITS = 3
ENOUGH = 20
"""Fewest pairs of a subset or a bin that a sentence is written about."""


def findings(inputs: Inputs, lookup: MetricLookup) -> list[Finding]:
    """Return all findings, the most important first."""
    candidates = [accuracy_finding(inputs, lookup), in_sample_finding(inputs.plan.seen)]
    for best in lookup.ranked()[:1]:
        candidates += [_length(lookup, best), _weakest(lookup, best), _calibration(lookup, best)]
    candidates += benchmark_findings(inputs)
    candidates += curve_findings(inputs)
    texts = [explained(inputs, fit) for fit in inputs.fits[:MOST_FITS] if not has_shares(fit)]
    shared = [fit for fit in inputs.fits if has_shares(fit)]
    texts += [text for fit in shared[:MOST_FITS] for text in share_findings(inputs, fit)]
    texts += list(explained_parts(inputs).values())[:MOST_FITS]
    candidates += directions_findings(inputs)
    candidates += [Finding("Explanation", text) for text in texts if text]
    candidates += quality_findings(inputs)
    candidates.append(_noticed(inputs))
    return [one for one in candidates if one is not None]


def headline(inputs: Inputs, lookup: MetricLookup) -> str:
    """Return the headline of the page: short, and true."""
    return (
        accuracy_headline(inputs, lookup)
        or benchmark_headline(inputs)
        or curve_headline(inputs)
        or plain(_rows(inputs))
    )


def _rows(inputs: Inputs) -> str:
    if inputs.pairs is not None:
        groups = len(inputs.pairs["group"].unique())
        return f"{count(len(inputs.pairs), 'preference pair')} on {count(groups, 'prompt')}."
    rows = sum(len(one) for one in inputs.data)
    return (
        f"{count(rows, 'response')}." if rows else f"Results of {inputs.plan.name or 'this run'}."
    )


def _length(lookup: MetricLookup, model: str) -> Finding | None:
    row = lookup.row(model, "margin-length-pearson")
    if row is None or row["low"] is None:
        return None
    equals = "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"
    r = f"Pearson r{equals}{decimal(row['value'], 2)}, {interval(row['low'], row['high'], 1)}"
    if row["low"] <= 0 <= row["high"]:
        text = f"Within pairs, margin and length gap are not significantly correlated ({r})."
    else:
        favoured = strong(f"{'longer' if row['value'] > 0 else 'shorter'} response")
        text = f"Within pairs, {called(lookup, model)} favours the {favoured}: margin against "
        text += f"length gap, {r}."
    sides = [lookup.value(model, f"accuracy-{side}-chosen") for side in ("longer", "shorter")]
    if None not in sides:
        text += (
            f" Accuracy is {strong(percent(sides[0], 0))} where the longer response was chosen, "
            f"{strong(percent(sides[1], 0))} where the shorter one was."
        )
    return Finding("Length", text)


def _weakest(lookup: MetricLookup, model: str) -> Finding | None:
    """Return the worst subset, only if its interval lies below the accuracy over all."""
    whole = lookup.value(model, "accuracy")
    rows = [lookup.row(model, "accuracy", subset) for subset in lookup.subsets]
    measured = [r for r in rows if r and r["high"] is not None and r["n"] >= ENOUGH]
    if len(measured) < 2 or whole is None:
        return None
    worst = min(measured, key=lambda row: row["value"])
    if worst["high"] >= whole:
        text = "No subset has a 95 % CI below the accuracy on all pairs."
        return Finding("Subsets", text)
    text = (
        f"{called(lookup, model, True)} has its lowest accuracy on "
        f"{strong(label(worst['subset']))}: {strong(percent(worst['value']))} on "
        f"{count(worst['n'], 'pair')} ({interval(worst['low'], worst['high'])})"
    )
    baseline = lookup.value("longer", "accuracy", worst["subset"])
    if baseline is not None and baseline > worst["value"]:
        text += f"; {baseline_name('longer')} {percent(baseline)}"
    return Finding("Subsets", f"{text}.")


def _calibration(lookup: MetricLookup, model: str) -> Finding | None:
    """Return the calibration error, and in how many bins confidence and accuracy differ."""
    bins = [p for p in lookup.reliability(model) if p["n"] >= ENOUGH and p["high"] is not None]
    error = lookup.row(model, "ece")
    if not bins or error is None:
        return None
    text = f"ECE (expected calibration error) {strong(decimal(error['value'], 3))}"
    if error.get("low") is not None:
        text += f" ({interval(error['low'], error['high'], 1)})"
    chance = lookup.value(model, "ece-by-chance")
    if chance is not None:
        text += f", where exact calibration reads {decimal(chance, 3)} by chance"
    top = bins[-1]
    return Finding(
        "Calibration",
        f"{called(lookup, model, True)} has {text}; {_off(bins)}. In the bin of highest confidence "
        f"(mean {percent(top['confidence'], 0)}) accuracy is {percent(top['value'], 0)} on "
        f"{count(top['n'], 'pair')} ({interval(top['low'], top['high'])}).",
    )


def _off(bins: Sequence[dict[str, Any]]) -> str:
    """Describe in how many bins the mean confidence lies outside the interval of the accuracy."""
    over = sum(bin["high"] < bin["confidence"] for bin in bins)
    under = sum(bin["low"] > bin["confidence"] for bin in bins)
    of = count(len(bins), "bin")
    words = ((over, "over-confident"), (under, "under-confident"))
    sides = [f"{word} in {n} of {of}" for n, word in words if n]
    if sides:
        return " and ".join(sides)
    return f"no significant difference of confidence and accuracy in any of {of}"


def _noticed(inputs: Inputs) -> Finding | None:
    """Return the number of different rows in notices, and their treatment."""
    every = [notice for step in inputs.plan.steps for notice in step.notices]
    notices = [notice for notice in every if notice.of == "rows"]
    if not notices:
        return None
    rows, least = _different(notices)
    dropped, changed = (
        _different([one for one in notices if one.action == action])[0]
        for action in ("dropped", "changed")
    )
    biggest = max(notices, key=lambda notice: notice.count)
    what = f"{label(biggest.what, 80)} ({biggest.count:,})"
    rows_text = f"{'at least ' * least}{rows:,} different row{'s' * (rows != 1)}"
    text = f"Steps have notices about {strong(rows_text)}: {what}"
    text += f" and {count(len(notices) - 1, 'other notice')}" if notices[1:] else ""
    done = [
        f"{strong(f'{n:,}')} {'was' if n == 1 else 'were'} {how}"
        for n, how in ((dropped, "dropped"), (changed, "changed"))
        if n
    ]
    text += f". Of them {listed(done)}." if done else ". None was dropped."
    return Finding("Data", text)


def _different(notices: Sequence[Notice]) -> tuple[int, bool]:
    """Count the distinct ids of notices; return also whether some rows have no listed id."""
    ids = {one for notice in notices for one in notice.ids}
    return max([len(ids), *(n.count for n in notices)]), any(n.count > len(n.ids) for n in notices)
