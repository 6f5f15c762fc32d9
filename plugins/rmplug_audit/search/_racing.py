"""The race of programs: all are tried on few prompts, the better ones on more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from rmplug.arrays import Array
from rmplug.stats.metric_rows import wins

from ._cases import Case
from ._programs import Program, apply_program, key_of, tell
from ._scoring import Scoring

FIRST_RUNG, RISE = 4, 3
"""Prompts that each program is tried on, and by how much they grow while programs grow fewer."""


@dataclass
class Trial:
    """A program with what it did to the first prompts of the race."""

    program: Program
    lifts: list[float] = field(default_factory=list)
    """By how much it raised the reward of the bad response, in standard deviations within prompts;
    0 where it cannot be applied, NaN where the model gives no reward."""
    won: list[float] = field(default_factory=list)
    """1 where the changed response then beats the good one, one half at a tie."""
    changed: list[bool] = field(default_factory=list)
    """Whether it could be applied."""

    @cached_property
    def key(self) -> str:
        return key_of(self.program)

    @property
    def objective(self) -> float:
        """The share of prompts won plus the mean lift."""
        return self.objective_on(len(self.lifts))

    def objective_on(self, count: int) -> float:
        """The same of its first prompts."""
        worth = self._worth()[:count]
        worth = worth[np.isfinite(worth)]
        return float(worth.mean()) if len(worth) else -np.inf

    @property
    def cautious(self) -> float:
        """The objective less one standard error: what few prompts say counts for less."""
        worth = self._worth()
        worth = worth[np.isfinite(worth)]
        if len(worth) < 2:
            return -np.inf
        return float(worth.mean() - worth.std(ddof=1) / np.sqrt(len(worth)))

    @property
    def rises(self) -> bool:
        """Whether the mean lift is above 0 by more than two standard errors: what is weaker on the
        prompts of the search is not worth a test on others, which makes all of them stricter."""
        lifts = np.array(self.lifts)
        lifts = lifts[np.isfinite(lifts)]
        return (
            len(lifts) > 1
            and float(lifts.mean()) > 2 * float(lifts.std(ddof=1)) / len(lifts) ** 0.5
        )

    def _worth(self) -> Array:
        worth: Array = np.array(self.lifts) + np.array(self.won)
        return worth


class Race:
    """Programs on the same prompts in the same order."""

    def __init__(self, cases: Sequence[Case], scoring: Scoring, seed: int) -> None:
        self.cases, self.scoring, self.seed = cases, scoring, seed
        self.good, self.bad = scoring.standing(cases)
        self.squares = squares_within(self.good, self.bad)
        self.unit = float(np.sqrt(self.squares.mean()))
        self.trials: dict[str, Trial] = {}
        self.trace: list[tuple[int, float, str]] = []

    def trial(self, program: Program) -> Trial:
        """Return what was tried of a program, nothing of a new one."""
        return self.trials.get(key_of(program), Trial(program))

    def gain(self, trial: Trial, prompts: int) -> float:
        """By how much a program raises the objective of the first prompts over that of the
        responses as they are."""
        return trial.objective_on(prompts) - float(wins(self.bad - self.good)[:prompts].mean())

    @property
    def second_rung(self) -> int:
        """Prompts after which a program is known well enough to be varied."""
        return min(FIRST_RUNG * RISE, len(self.cases))

    def run(self, programs: Iterable[Program], prompts: int, least_left: int) -> None:
        """Try programs on four prompts, the better third of them on twelve, a third of these on 36,
        and so on up to ``prompts``, as long as at least ``least_left`` scorings stay."""
        trials = (self.trial(program) for program in programs)
        alive = [trial for trial in trials if not trial.lifts]
        size = FIRST_RUNG
        while alive:
            last = 1.5 * size > prompts
            alive = self.extend(alive, prompts if last else size, least_left)
            if last:
                break
            alive.sort(key=lambda trial: (-trial.objective, len(trial.program), trial.key))
            alive, size = alive[: max(1, len(alive) // RISE)], size * RISE

    def extend(self, trials: Sequence[Trial], size: int, least_left: int = 0) -> list[Trial]:
        """Try programs on the first ``size`` prompts, all but those that cannot be afforded."""
        asked: list[tuple[Trial, Case, int, str | None]] = []
        afforded: list[Trial] = []
        for trial in trials:
            more = [
                (trial, self.cases[at], at, self.change(trial.program, self.cases[at]))
                for at in range(len(trial.lifts), size)
            ]
            if self._cost([*asked, *more]) > self.scoring.left - least_left:
                break
            asked += more
            afforded.append(trial)
            self.trials[trial.key] = trial
        self._score(asked)
        self._remember(trial for trial in afforded if len(trial.lifts) == len(self.cases))
        return afforded

    def _remember(self, whole: Iterable[Trial]) -> None:
        """Add to the trace a program that is better than all others that went the whole way."""
        best = max(whole, key=lambda trial: (trial.objective, trial.key), default=None)
        if best and (not self.trace or best.objective > self.trace[-1][1]):
            self.trace.append((self.scoring.spent, best.objective, tell(best.program)))

    def trace_table(self) -> pa.Table:
        """Return the best program so far by texts scored, with its objective on all prompts."""
        names = ("scorings", "objective", "program")
        types = (pa.int64(), pa.float64(), pa.string())
        columns = [[entry[at] for entry in self.trace] for at in range(3)]
        arrays = [pa.array(values, type) for values, type in zip(columns, types, strict=True)]
        return pa.table(arrays, names=list(names))

    def change(self, program: Program, case: Case) -> str | None:
        """Return the changed bad response, or None where the program does not apply."""
        return apply_program(program, case.row, case.bad.id, self.seed)

    def _cost(self, asked: Sequence[tuple[Trial, Case, int, str | None]]) -> int:
        return self.scoring.count_new(
            [(case, text) for _, case, _, text in asked if text is not None]
        )

    def _score(self, asked: Sequence[tuple[Trial, Case, int, str | None]]) -> None:
        given = [(case, text) for _, case, _, text in asked if text is not None]
        rises, leads = (iter(each.tolist()) for each in self.scoring.effects(given))
        for trial, _, at, text in asked:
            lead = float(self.bad[at] - self.good[at]) if text is None else next(leads)
            trial.lifts.append(0.0 if text is None else next(rises) / self.unit)
            trial.won.append(float(wins(np.array([lead]))[0]))
            trial.changed.append(text is not None)


def squares_within(good: Array, bad: Array) -> Array:
    """Return the squares whose mean is the variance of rewards of responses to one prompt, from two
    of each, shape (prompts,); 1 where all rewards are the same, so that a change is told in the
    unit of the reward."""
    squares: Array = (good - bad) ** 2 / 2
    return squares if squares.any() else np.ones(len(squares))
