"""The two ways to propose programs: evolution, and flat sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from ._grammar import Grammar
from ._programs import Program, key_of
from ._racing import FIRST_RUNG, RISE, Race, Trial

BATCH = 12
"""Programs that race against each other."""
PARENTS = 6
SHARE_OF_SINGLES = 0.6
"""The share of the scorings that may go into trying each change alone."""
TRIES = 5
"""Batches that cost nothing after which the search ends: the scorings are spent, or the grammar
is."""


def evolve(grammar: Grammar, race: Race, least_left: int, random: Random) -> None:
    """Try each change alone, then vary and cross the best programs until the scorings are spent.
    A change is worth what it did alone."""
    slots = random.sample(grammar.slots, len(grammar.slots))
    room = SHARE_OF_SINGLES * (race.scoring.left - least_left)
    each = (FIRST_RUNG + (race.second_rung - FIRST_RUNG) / RISE) * race.scoring.per_text
    singles = [(slot.middle,) for slot in slots[: int(room / each)]]
    race.run(singles, race.second_rung, least_left)
    worth = {
        grammar.slot_of(trial.program[0]): trial.cautious
        for trial in race.trials.values()
        if len(trial.program) == 1
    }

    def propose(parents: Sequence[Trial]) -> Program:
        if not parents:
            return grammar.draw(random)
        one, other = (random.choice(parents).program for _ in range(2))
        if one != other and random.random() < 0.3:
            return grammar.cross(one, other, random)
        return grammar.vary(one, worth, random)

    _repeat(
        lambda: best_by_slots(race, grammar, race.second_rung)[:PARENTS], propose, race, least_left
    )


def sample_flat(grammar: Grammar, race: Race, least_left: int, random: Random) -> None:
    """Draw programs uniformly until the scorings are spent."""
    _repeat(list, lambda _: grammar.draw(random), race, least_left)


def best_by_slots(race: Race, grammar: Grammar, prompts: int, most: int = 100) -> list[Trial]:
    """Return the best trial of each set of slots, of at most ``most`` steps, that was tried on at
    least so many prompts, best first."""
    tried = [t for t in race.trials.values() if len(t.lifts) >= prompts and len(t.program) <= most]
    tried.sort(key=lambda trial: (-trial.cautious, len(trial.program), trial.key))
    best: dict[frozenset[str], Trial] = {}
    for trial in tried:
        best.setdefault(grammar.slots_of(trial.program), trial)
    return list(best.values())


def _repeat(
    choose_parents: Callable[[], list[Trial]],
    propose: Callable[[Sequence[Trial]], Program],
    race: Race,
    least_left: int,
) -> None:
    idle = 0
    while idle < TRIES:
        batch: dict[str, Program] = {}
        parents = choose_parents()
        for _ in range(10 * BATCH):
            program = propose(parents)
            key = key_of(program)
            if key not in race.trials:
                batch.setdefault(key, program)
            if len(batch) == BATCH:
                break
        spent = race.scoring.spent
        race.run(batch.values(), len(race.cases), least_left)
        idle = 0 if race.scoring.spent > spent else idle + 1
