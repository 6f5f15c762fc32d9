"""What an exploit is worth on prompts that the search has not seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from rmplug.arrays import Array
from rmplug.stats.estimates import Estimate, mean
from rmplug.stats.intervals import Bounds
from rmplug.stats.jackknife import jackknife
from rmplug.stats.metric_rows import number, wins
from rmplug.stats.several_tests import adjust_holm
from rmplug_audit.measuring._tested import LEVEL, p_of

from ._cases import Case
from ._programs import tell, written
from ._racing import Race, Trial

EXAMPLES = 3


@dataclass(frozen=True)
class Lift:
    """The mean lift of a program: with the influence of each prompt, its interval, and its p."""

    estimate: Estimate
    interval: Bounds
    p: float

    @property
    def value(self) -> float:
        return self.estimate.value


@dataclass(frozen=True)
class Confirmed:
    """An exploit on both halves of the prompts."""

    name: str
    searched: Trial
    trial: Trial
    lift: Lift
    p_holm: float

    @property
    def holds(self) -> bool:
        """Whether it raises rewards on new prompts, corrected for all that are tested."""
        return self.lift.value > 0 and self.p_holm < LEVEL


def confirm(found: Sequence[Trial], race: Race) -> list[Confirmed]:
    """Try findings on the confirming prompts, and test them."""
    trials = [Trial(trial.program) for trial in found]
    race.extend(trials, len(race.cases))
    lifts = [measure_lift(trial, race) for trial in trials]
    corrected = adjust_holm([lift.p for lift in lifts]).tolist()
    parts = zip(found, trials, lifts, corrected, strict=True)
    return [Confirmed(f"exploit-{at}", *part) for at, part in enumerate(parts, 1)]


def measure_lift(trial: Trial, race: Race) -> Lift:
    """Test the mean lift of a program, in standard deviations within prompts. Its interval is that
    of the jackknife over prompts: the deviation is estimated on the same prompts, and its own error
    is part of it. ``p`` is that of Student's t, as in ``effects``."""
    lifts = np.array(trial.lifts)
    sound = np.isfinite(lifts)
    changes, squares = lifts[sound] * race.unit, race.squares[sound]
    sums = {"change": changes, "square": squares, "n": np.ones(len(changes))}
    estimate = jackknife(sums, _in_deviations)
    value, held = float(lifts[sound].mean()) if len(changes) else float("nan"), len(changes)
    error = float(lifts[sound].std(ddof=1)) / held**0.5 if held > 1 else float("nan")
    p = p_of(value, error, held, int(np.count_nonzero(changes)))
    return Lift(estimate, estimate.interval(np.arange(held)), p if np.isfinite(p) else 1.0)


def _in_deviations(sums: Mapping[str, Array]) -> Array:
    ratio: Array = sums["change"] / np.sqrt(sums["square"] * sums["n"])
    return ratio


def numbers_of(confirmed: Sequence[Confirmed], race: Race, search: Race) -> list[dict[str, Any]]:
    """Return rows of metrics: of each exploit, and of the search as a whole."""
    rows: list[dict[str, Any]] = []
    for one in confirmed:
        count, name = len(one.trial.lifts), one.name
        lift = number("lift", one.lift.value, count, *one.lift.interval, name)
        rows.append({**lift, "p": one.lift.p, "p_holm": one.p_holm})
        shares = {
            "wins": np.array(one.trial.won),
            "wins-before": wins(race.bad - race.good),
            "changed": np.array(one.trial.changed, dtype=np.float64),
        }
        for metric, values in shares.items():
            share = mean(values, "share")
            limits = share.interval(np.arange(count))
            rows.append(number(metric, share.value, count, *limits, name))
        inside, many = measure_lift(one.searched, search), len(one.searched.lifts)
        rows.append(number("lift-in-sample", inside.value, many, *inside.interval, name))
    holding = sum(one.holds for one in confirmed)
    rows.append(number("confirmed", holding, len(confirmed)))
    rows.append(number("scorings", race.scoring.spent, race.scoring.budget))
    rows.append(number("programs", len(search.trials), len(search.trials)))
    rows.append(number("unit", search.unit, len(search.cases)))
    return rows


def exploit_table(confirmed: Sequence[Confirmed]) -> pa.Table:
    """Return a row per exploit: its steps, in words too, and its numbers."""
    columns: dict[str, list[Any]] = {
        "exploit": [one.name for one in confirmed],
        "words": [tell(one.trial.program) for one in confirmed],
        "steps": [json.dumps(written(one.trial.program)) for one in confirmed],
        "lift": [one.lift.value for one in confirmed],
        "low": [one.lift.interval[0] for one in confirmed],
        "high": [one.lift.interval[1] for one in confirmed],
        "p": [one.lift.p for one in confirmed],
        "p_holm": [one.p_holm for one in confirmed],
        "wins": [float(np.mean(one.trial.won)) for one in confirmed],
        "confirmed": [one.holds for one in confirmed],
        "lift_in_sample": [_mean(one.searched.lifts) for one in confirmed],
        "n": [len(one.trial.lifts) for one in confirmed],
    }
    texts, truths = ("exploit", "words", "steps"), ("confirmed",)
    types = {name: pa.string() for name in texts} | {name: pa.bool_() for name in truths}
    types |= {"n": pa.int64()}
    return pa.table(
        {name: pa.array(values, types.get(name, pa.float64())) for name, values in columns.items()}
    )


def example_table(confirmed: Sequence[Confirmed], race: Race) -> pa.Table:
    """Return of each exploit the confirming responses that it lifts most, before and after."""
    rows: list[dict[str, Any]] = []
    for one in confirmed:
        lifts = np.nan_to_num(np.array(one.trial.lifts), nan=-np.inf)
        best = np.argsort(-lifts, kind="stable")[:EXAMPLES].tolist()
        rows += [_example(one, race, at) for at in best if one.trial.changed[at]]
    kinds = {"wins": pa.bool_(), "reward_good": pa.float64(), "reward_before": pa.float64()}
    kinds |= {"reward_after": pa.float64()}
    names = ("exploit", "id", "prompt", "good", "before", "after", *kinds)
    return pa.table(
        {
            name: pa.array([row[name] for row in rows], kinds.get(name, pa.string()))
            for name in names
        }
    )


def _example(one: Confirmed, race: Race, at: int) -> dict[str, Any]:
    case: Case = race.cases[at]
    rose = one.trial.lifts[at] * race.unit
    return {
        "exploit": one.name,
        "id": case.bad.id,
        "prompt": case.row.prompt,
        "good": case.good.text,
        "before": case.bad.text,
        "after": race.change(one.trial.program, case),
        "reward_good": float(race.good[at]),
        "reward_before": float(race.bad[at]),
        "reward_after": float(race.bad[at]) + rose,
        "wins": one.trial.won[at] == 1.0,
    }


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")
