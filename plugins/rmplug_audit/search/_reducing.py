"""From the programs of a search to its findings: each as short as it can be, and none twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from ._grammar import QUOTE, Grammar
from ._phrases import is_like
from ._proposing import best_by_slots
from ._racing import FIRST_RUNG, Race, Trial

NEEDED = 0.1
"""A step is needed if the objective rises by at least this share less without it; a program of
several steps is a finding of its own if it raises it by as much more than its parts."""
SHARE_OF_LONG = 4
"""One in so many findings may have several steps, the best first: the others are single changes,
which a person understands, and of which the longer ones are made."""


def reduce_programs(race: Race, grammar: Grammar, count: int, least_left: int) -> list[Trial]:
    """Return at most ``count`` programs that raise rewards, the best first, each tried on all
    prompts of the search."""
    short: dict[str, Trial] = {}
    for finalist in _choose(race, grammar, count):
        trial = _shorten(race, finalist, least_left)
        if race.extend([trial], len(race.cases), least_left):
            short[trial.key] = trial
    rising = [trial for trial in short.values() if trial.rises]
    rising.sort(key=lambda trial: (len(trial.program) > 1, -trial.objective, trial.key))
    kept: list[Trial] = []
    for trial in rising:
        if not any(_is_same(trial, other, race, grammar) for other in kept):
            kept.append(trial)
    return _pick(kept, count)


def _choose(race: Race, grammar: Grammar, count: int) -> list[Trial]:
    """Return the best programs and the best single changes, in turn."""
    singles = best_by_slots(race, grammar, FIRST_RUNG, most=1)[: 2 * count]
    every = best_by_slots(race, grammar, FIRST_RUNG)[:count]
    turns = zip_longest(every, singles)
    return list({trial.key: trial for pair in turns for trial in pair if trial}.values())


def _shorten(race: Race, trial: Trial, least_left: int) -> Trial:
    """Leave out steps without which a program does nearly as much, on the prompts that tell."""
    at, prompts = 0, race.second_rung
    race.extend([trial], prompts, least_left)
    while len(trial.program) > 1 and at < len(trial.program):
        program = (*trial.program[:at], *trial.program[at + 1 :])
        shorter = race.trial(program)
        if not race.extend([shorter], prompts, least_left):
            break
        if race.gain(shorter, prompts) >= (1 - NEEDED) * race.gain(trial, prompts):
            trial, at = shorter, 0
        else:
            at += 1
    return trial


def _is_same(trial: Trial, kept: Trial, race: Race, grammar: Grammar) -> bool:
    """Check whether a program does what one that is kept does."""
    own, other = grammar.slots_of(trial.program), grammar.slots_of(kept.program)
    if own == other:
        return True
    if len(own) == len(other) == 1:
        one, two = next(iter(own)), next(iter(other))
        return one.startswith(QUOTE) and two.startswith(QUOTE) and is_like(one, two)
    whole = len(race.cases)
    return other < own and race.gain(trial, whole) < (1 + NEEDED) * race.gain(kept, whole)


def _pick(kept: Sequence[Trial], count: int) -> list[Trial]:
    """Pick the findings, best first: single changes, and the best longer programs."""
    kept = sorted(kept, key=lambda trial: -trial.objective)
    singles = [trial for trial in kept if len(trial.program) == 1]
    longer = [trial for trial in kept if len(trial.program) > 1]
    picked = [*longer[: max(1, count // SHARE_OF_LONG)], *singles][:count]
    return sorted(picked, key=lambda trial: (-trial.objective, trial.key))
