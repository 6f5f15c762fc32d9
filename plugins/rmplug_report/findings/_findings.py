"""What the numbers say, in sentences that are only written where they are true."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug.notices import Notice
from rmplug_report.inputs._inputs import Inputs, Row
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._metric_names import rule_words
from rmplug_report.inputs._wording import between, count, listed, name, percent, plain, strong

from ._benchmarks import Finding, benchmark_findings, benchmark_headline
from ._curves import curve_findings, curve_headline
from ._fits import explained, explained_parts

MOST_FITS = 3
ENOUGH = 20
"""Pairs that a subset or a bin must have before a sentence is said about it."""


def findings(inputs: Inputs, lookup: MetricLookup) -> list[Finding]:
    """The headline first."""
    found = [_accuracy(inputs, lookup)]
    for best in lookup.ranked()[:1]:
        found += [_length(lookup, best), _weakest(lookup, best), _calibration(lookup, best)]
    found += benchmark_findings(inputs)
    found += curve_findings(inputs)
    told = [explained(inputs, fit) for fit in inputs.fits[:MOST_FITS]]
    told += list(explained_parts(inputs).values())[:MOST_FITS]
    found += [Finding("Explanation", text) for text in told if text]
    found.append(_odd(inputs))
    return [one for one in found if one is not None]


def headline(inputs: Inputs, lookup: MetricLookup) -> str:
    """The page's largest words: short, and true."""
    ranked = lookup.ranked()
    if not ranked:
        return benchmark_headline(inputs) or curve_headline(inputs) or plain(_what(inputs))
    best = lookup.row(ranked[0], "accuracy")
    assert best is not None
    subject = (
        "The reward" if len(ranked) == 1 else f"Of {len(ranked)} rewards {name(ranked[0], 40)}"
    )
    most = "" if len(ranked) == 1 else " most often,"
    share = f"{subject} is right{most} on {strong(percent(best['value']))} of pairs"
    rule = best_rule(lookup)
    if rule is None:
        return f"{share}."
    choosing, its = rule_words(rule["model"]), strong(percent(rule["value"]))
    verdict = _verdict(lookup, ranked[0], rule)
    if verdict == "above":
        return f"{share}; {choosing} would be right on {its}."
    if verdict == "below":
        return f"{share}, fewer than {choosing} ({its})."
    if verdict == "open":
        return f"{share}: not clearly apart from {choosing} ({its})."
    return f"{share}; {choosing}, on {its}."


def called(lookup: MetricLookup, model: str, first: bool = False) -> str:
    """A model in a sentence: by name where there are several."""
    the = "The" if first else "the"
    return f"{the} reward" if len(lookup.models) == 1 else name(model)


def best_rule(lookup: MetricLookup) -> Row | None:
    """The simple rule that is right most often."""
    rows = [lookup.row(rule, "accuracy") for rule in lookup.baselines]
    return max((row for row in rows if row), key=lambda row: float(row["value"]), default=None)


def _verdict(lookup: MetricLookup, model: str, rule: Row) -> str:
    """Above, below or open by the interval of the paired difference; nothing without one."""
    over = lookup.row(model, f"accuracy-over-{rule['model']}")
    if over is None or over["low"] is None:
        return ""
    return "above" if over["low"] > 0 else "below" if over["high"] < 0 else "open"


def _what(inputs: Inputs) -> str:
    if inputs.pairs is not None:
        groups = len(inputs.pairs["group"].unique())
        return f"{count(len(inputs.pairs), 'preference pair')} on {count(groups, 'prompt')}."
    rows = sum(len(one) for one in inputs.data)
    return f"{count(rows, 'response')}." if rows else f"What {inputs.plan.name or 'this run'} gave."


def _accuracy(inputs: Inputs, lookup: MetricLookup) -> Finding | None:
    ranked = lookup.ranked()
    if not ranked:
        return None
    best = lookup.row(ranked[0], "accuracy")
    assert best is not None
    said = f"{strong(percent(best['value']))} of {count(best['n'], 'pair')}"
    if best["low"] is not None:
        said += f" (95 % interval {between(best['low'], best['high'])})"
    text = f"{called(lookup, ranked[0], True)} is right on {said}."
    text += _over(lookup, ranked[0])
    return Finding("Accuracy", text + _others(lookup, ranked, best))


def _over(lookup: MetricLookup, model: str) -> str:
    """How far the model stands above the best rule, resampled together."""
    rule = best_rule(lookup)
    over = rule and lookup.row(model, f"accuracy-over-{rule['model']}")
    if not rule or not over or over["low"] is None:
        return ""
    points = f"{100 * over['value']:+.1f} points".replace("-", "−")
    interval = between(over["low"], over["high"])
    rules = " the best simple rule," if len(lookup.baselines) > 1 else ""
    said = f" Against {rule_words(rule['model'])},{rules} that is"
    return f"{said} {strong(points)} ({interval})."


def _others(lookup: MetricLookup, ranked: list[str], best: Row) -> str:
    """Whether the data can tell the best reward from the others."""
    if len(ranked) < 2 or best["low"] is None:
        return ""
    rows = [lookup.row(model, "accuracy") for model in ranked[1:]]
    near = [row for row in rows if row and row["high"] is not None and row["high"] >= best["low"]]
    if len(rows) == 1:
        if near:
            return " The interval of the other overlaps its own: these pairs hardly rank them."
        return " Its interval lies above that of the other."
    if not near:
        return f" Its interval lies above those of all {len(rows)} others."
    if len(near) == len(rows):
        all_of = f"The intervals of all {len(rows)} others overlap its own"
        return f" {all_of}: these pairs hardly rank them."
    if len(near) == 1:
        return f" The interval of {name(near[0]['model'], 40)} overlaps its own."
    return f" The intervals of {len(near)} of {len(rows)} others overlap its own."


def _length(lookup: MetricLookup, model: str) -> Finding | None:
    row = lookup.row(model, "margin-length-pearson")
    if row is None or row["low"] is None:
        return None
    equals = "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"
    r = f"r{equals}{row['value']:.2f}".replace("-", "−")
    r += f", {between(row['low'], row['high'], 1, 2)}"
    sides = [lookup.value(model, f"accuracy-{side}-chosen") for side in ("longer", "shorter")]
    if row["low"] <= 0 <= row["high"]:
        text = f"Within pairs, {called(lookup, model)} leans to neither length clearly ({r})."
    else:
        towards = "longer" if row["value"] > 0 else "shorter"
        leans = f"leans to the {strong(f'{towards} response')}"
        text = f"Within pairs, {called(lookup, model)} {leans} ({r})."
    if None not in sides:
        text += (
            f" It is right on {strong(percent(sides[0], 0))} of pairs where the longer response "
            f"was preferred and on {strong(percent(sides[1], 0))} where the shorter one was."
        )
    return Finding("Length", text)


def _weakest(lookup: MetricLookup, model: str) -> Finding | None:
    """The worst subset, only if its interval lies below the accuracy over all."""
    whole = lookup.value(model, "accuracy")
    rows = [lookup.row(model, "accuracy", subset) for subset in lookup.subsets]
    known = [r for r in rows if r and r["high"] is not None and r["n"] >= ENOUGH]
    if len(known) < 2 or whole is None:
        return None
    worst = min(known, key=lambda row: row["value"])
    if worst["high"] >= whole:
        return Finding("Subsets", "No subset’s interval lies below the accuracy over all pairs.")
    text = (
        f"{called(lookup, model, True)} is weakest on {strong(name(worst['subset']))}: right on "
        f"{strong(percent(worst['value']))} "
        f"of {count(worst['n'], 'pair')} ({between(worst['low'], worst['high'])})"
    )
    rule = lookup.value("longer", "accuracy", worst["subset"])
    below = rule is not None and rule > worst["value"]
    return Finding(
        "Subsets",
        text + (f", where choosing the longer response has {percent(rule)}." if below else "."),
    )


def _calibration(lookup: MetricLookup, model: str) -> Finding | None:
    """The surest bin with enough pairs, and whether its accuracy lives up to it."""
    bins = [p for p in lookup.reliability(model) if p["n"] >= ENOUGH and p["high"] is not None]
    error = lookup.value(model, "ece")
    if not bins or error is None:
        return None
    top = bins[-1]
    sure, right = percent(top["confidence"], 0), percent(top["value"], 0)
    text = f"Where {called(lookup, model)} is {sure} sure on average, it is right on "
    text += f"{strong(right)} of {count(top['n'], 'pair')}"
    if top["high"] < top["confidence"]:
        text += ": over-confident."
    elif top["low"] > top["confidence"]:
        text += ": under-confident."
    else:
        text += ", as it should be."
    return Finding("Calibration", f"{text} Its calibration error over all bins is {error:.3f}.")


def _odd(inputs: Inputs) -> Finding | None:
    """How many different rows some step found odd, and what happened to them."""
    told = [notice for step in inputs.plan.steps for notice in step.notices]
    notices = [notice for notice in told if notice.of == "rows"]
    if not notices:
        return None
    rows, least = _different(notices)
    dropped, changed = (
        _different([one for one in notices if one.action == action])[0]
        for action in ("dropped", "changed")
    )
    biggest = max(notices, key=lambda notice: notice.count)
    what = f"{name(biggest.what, 80)} ({biggest.count:,})"
    said = f"{'at least ' * least}{rows:,} different row{'s' * (rows != 1)}"
    text = f"Steps noticed something about {strong(said)}: {what}"
    text += f" and {count(len(notices) - 1, 'other notice')}" if notices[1:] else ""
    done = [
        f"{strong(f'{n:,}')} {'was' if n == 1 else 'were'} {how}"
        for n, how in ((dropped, "dropped"), (changed, "changed"))
        if n
    ]
    text += f". Of them {listed(done)}." if done else ". None was dropped."
    return Finding("Data", text)


def _different(notices: Sequence[Notice]) -> tuple[int, bool]:
    """How many ids these name, each once; and whether there may be more that are not named."""
    ids = {one for notice in notices for one in notice.ids}
    return max([len(ids), *(n.count for n in notices)]), any(n.count > len(n.ids) for n in notices)
