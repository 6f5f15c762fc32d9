"""The sentences of an audit, each written only where its numbers support it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rmplug import PlanView
from rmplug.notices import Notice
from rmplug.stats.interval_texts import MINUS, decimals, number_text
from rmplug_report.findings._finding import Finding
from rmplug_report.inputs._wording import (
    between,
    count,
    interval,
    label,
    listed,
    percent,
    points,
    strong,
)

from ._judgement import CANNOT_TELL, ENOUGH_POWER, SMALL
from ._rows import WHOLE
from .document import Effect, Estimate, Exploit, Grade, Measure, Repair

UNIT = "SD within a prompt"
BAD: Sequence[str] = ("F", "D", "C")
MOST = 4
FAMILIES = (
    "length", "spacing", "framing", "markdown", "confidence", "flattery", "authority", "refusal",
    "self-name", "order", "emoji", "language", "surface", "keywords", "injection", "off-topic",
    "paraphrase", "substance",
)  # fmt: skip
"""Families of exploits that perturbations of rmplug cover."""
AUDITING = ("perturb", "variants", "find-exploits", "effects", "retest")


def headline_of(grades: Sequence[Grade]) -> str:
    """Return the main result: the families that are exploited, by model."""
    models = list(dict.fromkeys(one.model for one in grades))
    if not models:
        return "No family of exploits was measured."
    if len(models) > 1:
        told = [f"{label(model, 24)} {_shares(grades, model)}" for model in models[:MOST]]
        return f"Families with exploits: {'; '.join(told)}."
    bad = _sorted([one for one in grades if is_exploited(one)])
    blind = [one for one in grades if one.grade in BAD and not is_exploited(one)]
    untold = sum(one.grade == CANNOT_TELL for one in grades)
    rest = _named("blind to faults", blind) + (f"; {untold} cannot be told" if untold else "")
    falls = [(one.fall.value or 0.0, one) for one in grades if one.fall and is_sensitive(one)]
    falls.sort(key=lambda fall: -fall[0])
    rest += _named("sensitive", [one for _, one in falls])
    if bad:
        named = [f"{strong(family_name(one.theme))} ({one.grade})" for one in bad[:MOST]]
        more = f" and {len(bad) - MOST} more" if len(bad) > MOST else ""
        whole = f"Exploits in {len(bad)} of {len(grades)} families"
        return f"{whole}: {', '.join(named)}{more}{rest}."
    clear = strong(f"{len(grades) - untold - len(blind)} of {len(grades)} families")
    return f"No exploit shown in {clear}{rest}."


def _named(what: str, grades: Sequence[Grade]) -> str:
    """Return a part of the headline that names families; empty where there are none."""
    if not grades:
        return ""
    names = ", ".join(strong(family_name(one.theme)) for one in grades[:MOST])
    more = f" and {len(grades) - MOST} more" if len(grades) > MOST else ""
    return f"; {what} in {len(grades)}: {names}{more}"


def is_exploited(one: Grade) -> bool:
    """Tell whether changes of a family raise the reward by what is at least small: a family may be
    graded as low for a fault that is not punished."""
    return one.grade in BAD and (one.low or 0.0) >= SMALL


def is_sensitive(one: Grade) -> bool:
    """Tell whether changes that keep the quality lower the reward by what is at least small."""
    return one.fall is not None and (one.fall.low or 0.0) >= SMALL


def family_name(theme: str) -> str:
    """Return the name of a family in a sentence."""
    return "found by search" if theme == "found" else label(theme, 24)


def _shares(grades: Sequence[Grade], model: str) -> str:
    own = [one for one in grades if one.model == model]
    return strong(f"{sum(is_exploited(one) for one in own)} of {len(own)}")


def _sorted(grades: Sequence[Grade]) -> list[Grade]:
    return sorted(grades, key=lambda one: (BAD.index(one.grade), -(one.value or 0.0)))


def findings_of(
    grades: Sequence[Grade],
    effects: Sequence[Effect],
    measures: Sequence[Measure],
    exploits: Sequence[Exploit],
    repairs: Sequence[Repair],
    repair_measures: Sequence[Measure],
    size: float,
) -> list[Finding]:
    """Return the findings, the most important first."""
    pairs = [("Strongest", one) for one in _strongest(grades, effects)]
    pairs += [("Sensitivity", one) for one in _strongest(grades, effects, "sensitive")]
    pairs += [("Preferences", one) for one in _flips(measures)]
    pairs += [("Accuracy", one) for one in _accuracy(measures)]
    pairs += [("Search", one) for one in _search(exploits)]
    pairs += [("Repair", one) for one in _repair(repairs, repair_measures)]
    pairs += [("Power", one) for one in _power(effects, size)]
    return [Finding(about, text) for about, text in pairs]


def _strongest(
    grades: Sequence[Grade], effects: Sequence[Effect], verdict: str = "exploited"
) -> Iterator[str]:
    """Yield a sentence on each model's strongest effect of a verdict. One that is certain by itself
    may be of a family that is no exploit by the bounds of all its changes together."""
    exploited = {(one.model, one.theme) for one in grades if is_exploited(one)}
    for model in list(dict.fromkeys(one.model for one in grades))[:MOST]:
        own = [
            one
            for one in effects
            if (one.model, one.subset, one.verdict) == (model, WHOLE, verdict)
        ]
        if own:
            best = max(own, key=lambda one: abs(one.value or 0.0))
            yield _told(best, model, (model, best.theme) in exploited)


def _told(best: Effect, model: str, is_exploit: bool) -> str:
    value = best.value or 0.0
    size = number_text(abs(value), _places(best))
    ends = (best.low, best.high) if value > 0 else (best.high, best.low)
    low, high = (None if end is None else math.copysign(1, value) * end for end in ends)
    bounds = [_alone(low, high, 1), f"n = {best.n:,}" if best.n else ""]
    inside = ", ".join(part for part in bounds if part)
    alone = ""
    if best.length_alone is not None and best.theme != "length":
        alone = f" The change in length alone would give {effect_text(best.length_alone, 2)}."
    name = label(best.perturbation, 40) + (f" × {best.dose}" if best.dose > 1 else "")
    counts = "" if is_exploit else f": not surely by {SMALL}, from which on it counts as an exploit"
    if best.verdict == "sensitive":
        counts = ": a sensitivity, not an exploit"
    return (
        f"{strong(name)} {'raises' if value > 0 else 'lowers'} {label(model, 40)} by "
        f"{strong(f'{size} {UNIT}')}{f' ({inside})' if inside else ''}, although it is meant to "
        f"{MEANT.get(best.intention, 'do something else')}{counts}.{alone}"
    )


MEANT = {
    "keeps": "keep the quality",
    "worsens": "worsen the response",
    "improves": "improve the response",
}


def _flips(measures: Sequence[Measure]) -> Iterator[str]:
    """Yield a sentence on the change of the bad response that costs most right preferences, for
    each model."""
    flips = [
        one
        for one in measures
        if (one.metric, one.subset) == ("flipped", WHOLE) and one.value is not None
    ]
    for model in list(dict.fromkeys(one.model for one in flips))[:MOST]:
        worst = max((one for one in flips if one.model == model), key=lambda one: one.value or 0.0)
        bounds = _alone(worst.low, worst.high)
        share = strong(percent(worst.value or 0.0)) + (f" ({bounds})" if bounds else "")
        yield (
            f"{label(worst.perturbation, 40)}, applied to the bad response, turns {share} "
            f"of the right preferences of {label(model, 40)}, the most of all changes."
        )


def _alone(low: float | None, high: float | None, scale: float = 100) -> str:
    """Return the interval of a change that was chosen as the strongest: it does not allow for the
    choice."""
    bounds = between(low, high, scale)
    return f"95 % CI of this change alone {bounds}" if bounds else ""


def _share(one: Measure) -> str:
    bounds = interval(one.low, one.high)
    return strong(percent(one.value or 0.0)) + (f" ({bounds})" if bounds else "")


def _accuracy(measures: Sequence[Measure]) -> Iterator[str]:
    """Yield a sentence on each model's accuracy, as it is and with the worst change applied."""
    for model in list(dict.fromkeys(one.model for one in measures))[:MOST]:
        plain = _first(measures, model, "accuracy")
        worst = _first(measures, model, "accuracy-worst")
        if plain is None:
            continue
        text = f"{label(model, 40)} has accuracy {_share(plain)}"
        if worst is not None:
            by = f" ({label(worst.member, 60)})" if worst.member else ""
            text += f"; with the worst of the changes that keep the quality{by}, {_share(worst)}"
        yield f"{text}."


def _first(measures: Sequence[Measure], model: str, metric: str) -> Measure | None:
    own = (
        one
        for one in measures
        if (one.model, one.metric, one.subset) == (model, metric, WHOLE) and one.value is not None
    )
    return next(own, None)


def _search(exploits: Sequence[Exploit]) -> Iterator[str]:
    if exploits:
        confirmed = [one for one in exploits if one.confirmed]
        yield (
            f"The search gives {count(len(exploits), 'exploit')}; {len(confirmed)} of them "
            f"{'is' if len(confirmed) == 1 else 'are'} confirmed on prompts that it did not use."
        )


def main_repairs(repairs: Sequence[Repair]) -> list[Repair]:
    """Return what a repair was meant for, and what became worse, each change at its highest
    dose."""
    last: dict[tuple[str, str], Repair] = {}
    for one in sorted(repairs, key=lambda one: one.dose or 0):
        last[one.step, one.perturbation] = one
    shown = {id(one) for one in last.values() if one.targeted or one.verdict == "worse"}
    return [one for one in repairs if id(one) in shown]


def _repair(repairs: Sequence[Repair], measures: Sequence[Measure]) -> Iterator[str]:
    """Yield a sentence on each repair: what it was meant for, other effects, accuracy."""
    for step in list(dict.fromkeys(one.step for one in repairs))[:MOST]:
        own = [one for one in repairs if one.step == step]
        aimed = [one for one in own if one.targeted]
        verdicts = list(dict.fromkeys(one.verdict for one in aimed))
        told = [f"{sum(one.verdict == v for one in aimed)} {v}" for v in verdicts]
        names = f"{label(own[0].model, 40)} instead of {label(own[0].other, 40)}"
        text = f"{names}: of {count(len(aimed), 'targeted effect')}, {listed(told or ['none'])}."
        worse, slightly = (
            sum(one.verdict == verdict for one in own if not one.targeted)
            for verdict in ("worse", "slightly worse")
        )
        if len(own) > len(aimed):
            text += f" Of the {len(own) - len(aimed)} others, {worse} became worse"
            text += f", {slightly} slightly." if slightly else "."
        change = _first(measures, step, "accuracy-change")
        if change is not None:
            bounds = interval(change.low, change.high)
            said = f": {change.verdict}" if change.verdict else ""
            inside = f" ({bounds})" if bounds else ""
            text += f" Accuracy changes by {points(change.value or 0.0)}{inside}{said}."
        yield text


def _power(effects: Sequence[Effect], size: float) -> Iterator[str]:
    whole = [one for one in effects if one.subset == WHOLE and one.power is not None]
    weak = [one for one in whole if (one.power or 0.0) < ENOUGH_POWER]
    if weak:
        yield (
            f"{len(weak)} of {count(len(whole), 'test')} find an effect of {size:g} {UNIT} with "
            "less than 80 % power: where they found nothing, the card says nothing."
        )


def not_looked_at(
    effects: Sequence[Effect],
    exploits: Sequence[Exploit],
    repairs: Sequence[Repair],
    measures: Sequence[Measure],
    plan: PlanView,
) -> list[str]:
    """Return what the audit says nothing about, in sentences."""
    told = []
    measured = {one.theme for one in effects}
    missing = [name for name in FAMILIES if name not in measured]
    if missing:
        told.append(f"Families without a test: {', '.join(missing)}.")
    if not exploits:
        told.append("No search: only exploits that a perturbation names were tried.")
    if not repairs:
        told.append("No repair was tested.")
    if not any(one.metric == "accuracy" for one in measures):
        told.append("Accuracy: no row says which response is the better one.")
    told.append("Prompts unlike those of the data, and exploits that no change here expresses.")
    return [*told, *_noticed(plan)]


def _noticed(plan: PlanView) -> Iterator[str]:
    """Yield what the steps of the audit left out; the same reason for many changes once."""
    for step in plan.steps:
        reasons: dict[tuple[str, str, str], list[Notice]] = {}
        for one in step.notices if step.kind in AUDITING else ():
            change, _, reason = one.what.partition(": ")
            key = (reason or change, one.action, one.of)
            reasons.setdefault(key, []).append(one)
        for (reason, action, of), same in reasons.items():
            total = sum(one.count for one in same)
            text = f"{label(step.id)}: {count(total, of.removesuffix('s'))} {action}: "
            if len(same) == 1:
                yield f"{text}{label(same[0].what, 200)}."
                continue
            most = sorted(same, key=lambda one: -one.count)[:3]
            named = [f"{label(one.what.partition(': ')[0], 40)} {one.count:,}" for one in most]
            yield f"{text}{label(reason, 200)} ({len(same)} of them; most: {', '.join(named)})."


def effect_text(value: float, places: int) -> str:
    """Return an effect with its sign."""
    return number_text(value, places, signed=True)


def _places(one: Estimate) -> int:
    """Return the decimal places of an effect: as many as its interval has, one to three."""
    if one.low is None or one.high is None:
        return 2
    return min(3, max(1, decimals(one.low, one.high)))


def effect_parts(one: Estimate) -> tuple[str, str]:
    """Return an effect, and its interval."""
    if one.value is None:
        return "–", ""
    places = _places(one)
    if one.low is None or one.high is None:
        return effect_text(one.value, places), ""
    low, high = (number_text(end, places) for end in (one.low, one.high))
    joined = f"{low} to {high}" if MINUS in low + high else f"{low}–{high}"
    return effect_text(one.value, places), joined


def estimated(one: Estimate | None) -> str:
    """Return an effect with its interval: ``+0.4 (0.2–0.6)``."""
    value, bounds = ("–", "") if one is None else effect_parts(one)
    return f"{value} ({bounds})" if bounds else value


def power_text(power: float | None) -> str:
    return "–" if power is None else percent(power, 0)
