"""The search as a whole: cases, phrases, race, findings, confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, Features, Pairs, Progress, Responses, RewardModel, notice

from ._cases import Case, read_cases
from ._confirming import confirm, example_table, exploit_table, numbers_of
from ._grammar import Grammar
from ._journal import Journal
from ._phrases import (
    frame_sentences,
    mine_phrases,
    valued_by_residual,
    valued_by_reward,
    valued_by_side,
)
from ._programs import write_exploits
from ._proposals import proposed_phrases
from ._proposing import evolve, sample_flat
from ._racing import Race, Trial
from ._reducing import reduce_programs
from ._scoring import Scoring, scoring_of

if TYPE_CHECKING:
    from .finding import FindExploits

PER_PROMPT, FEWEST = 25, 6
"""Changed responses that the budget has to allow for each prompt: with a smaller one fewer prompts
are used, but no fewer than these."""
SHARE_TO_CONFIRM, SHARE_TO_REDUCE = 0.4, 0.25
"""The most of the budget that confirmation takes, and what of the rest is spent on the best
programs when the search has ended."""
PHRASES = 5
"""Phrases of each source."""


@dataclass(frozen=True)
class Given:
    """The inputs of a search."""

    model: RewardModel
    data: Pairs | Responses
    residuals: Features | None
    proposer: RewardModel | None


@dataclass(frozen=True)
class Found:
    """What a search found: numbers, and tables by name."""

    numbers: list[dict[str, Any]]
    tables: dict[str, pa.Table]


def find(
    step: FindExploits,
    given: Given,
    seed: int,
    directory: Path,
    work: Path,
    progress: Progress,
) -> Found:
    """Search, confirm, and write what was found."""
    prompts = min(step.prompts, max(FEWEST, step.budget // PER_PROMPT))
    cases = read_cases(given.data, step.start, prompts, step.confirm, seed)
    with Journal(work / "journal.jsonl") as journal:
        model, first = given.model.open(), cases.search[0]
        scoring = scoring_of(model, first, journal, step.budget, lambda n: progress(n, step.budget))
        cases = cases.fewer(max(FEWEST, step.budget // (PER_PROMPT * scoring.per_text)))
        search, aside = (_scored(part, scoring) for part in (cases.search, cases.confirm))

        race = Race(search, scoring, seed)
        if bool((race.good == race.bad).all()):
            notice("the model gives both responses the same reward", [c.id for c in search])
        grammar = _grammar(step, given, cases.readable, race, journal, seed)
        found = _search(step, grammar, race, len(aside), seed)
        held_out = Race(aside, scoring, seed)
        confirmed = confirm(found, held_out)
    write_exploits(directory, [(one.name, one.trial.program) for one in confirmed])
    tables = {
        "exploits": exploit_table(confirmed),
        "examples": example_table(confirmed, held_out),
        "trace": race.trace_table(),
    }
    return Found(numbers_of(confirmed, held_out, race), tables)


def _grammar(
    step: FindExploits,
    given: Given,
    readable: Sequence[Case],
    race: Race,
    journal: Journal,
    seed: int,
) -> Grammar:
    """Return the perturbations and phrases to search with."""
    phrases = _mined(readable, race, given.residuals)
    phrases += proposed_phrases(given.proposer, race, journal)
    if step.gradient_words:
        from ._gradients import gradient_words

        phrases += gradient_words(race, step.gradient_words, journal, Random(f"{seed}/gradient"))
    taken = list(dict.fromkeys(phrases)) if step.takes_phrases else []
    grammar = Grammar(step.changes(), taken, step.steps)
    if not grammar.slots:
        raise DataError("there is no perturbation to search with; name others")
    return grammar


def _search(
    step: FindExploits, grammar: Grammar, race: Race, prompts: int, seed: int
) -> list[Trial]:
    """Return the best programs, as many as can be tried on so many confirming prompts."""
    each = prompts * race.scoring.per_text
    confirming = min(step.findings, int(SHARE_TO_CONFIRM * step.budget) // each)
    reserve = confirming * each
    reducing = int(SHARE_TO_REDUCE * (race.scoring.left - reserve))
    propose = evolve if step.search == "evolution" else sample_flat
    propose(grammar, race, reserve + reducing, Random(f"{seed}/search"))
    return reduce_programs(race, grammar, confirming, reserve)


def _scored(cases: Sequence[Case], scoring: Scoring) -> list[Case]:
    """Return the cases whose responses as they are have a reward."""
    good, bad = scoring.standing(cases)
    sound = np.isfinite(good) & np.isfinite(bad)
    kept = [case for case, is_sound in zip(cases, sound.tolist(), strict=True) if is_sound]
    odd = [case.id for case, is_sound in zip(cases, sound.tolist(), strict=True) if not is_sound]
    notice("a response has no finite reward: not used by the search", odd, "dropped")
    if len(kept) < 2:
        raise DataError(
            f"the model gives both responses a finite reward for {len(kept)} of {len(cases)} "
            "prompts, at least 2 are needed; look at its scores with a step reward"
        )
    return kept


def _mined(readable: Sequence[Case], race: Race, residuals: Features | None) -> list[str]:
    """Return phrases of every source in the data."""
    by_reward = valued_by_reward(race.cases, race.good, race.bad)
    by_side = valued_by_side(readable)
    sources = [by_side, by_reward]
    if residuals is not None:
        left = valued_by_residual(readable, residuals)
        if not left:
            raise DataError(
                f"{residuals.name or 'residuals'} has none of the ids of the data; give the "
                "residuals of a fit on the same pairs or responses"
            )
        sources.append(left)
    mined = [phrase for source in sources for phrase in mine_phrases(source, PHRASES)]
    return [*mined, *frame_sentences(sources[-1], PHRASES)]
