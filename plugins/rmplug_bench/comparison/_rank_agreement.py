"""Agreement of orders: of models with each other, with the label, and with other ratings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Responses, notice
from rmplug.errors import some
from rmplug.stats.estimates import Estimate, spearman
from rmplug_bench._arrays import Floats, Ints

from ._concordance import concordance, kendall

LABEL = "label"


@dataclass(frozen=True)
class OrderNumber:
    """A number about two orders of rows: its metric and both names, how many rows, their groups."""

    key: str
    estimate: Estimate
    groups: Ints

    @property
    def n(self) -> int:
        return len(self.groups)


def references_of(
    data: Responses, ratings: Sequence[str], taken: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Return the label, where there is one, and the named ratings; NaN where one is missing."""
    names = {LABEL: LABEL} if LABEL in data.columns else {}
    names |= {name: f"ratings.{name}" for name in ratings}
    for name, column in names.items():
        if column not in data.columns:
            own = [c.removeprefix("ratings.") for c in data.columns if c.startswith("ratings.")]
            raise DataError(f"there is no rating {name!r} of the responses; there are {some(own)}")
        if name in taken:
            raise DataError(f"a reward is called {name!r}, as a rating is; rename its step")
    found = {name: _numbers(data, column) for name, column in names.items()}
    for name, values in found.items():
        lacking = data["id"].filter(pa.array(np.isnan(values))).to_pylist()
        notice(f"no {names[name]}, left out where it is compared", lacking)
    return found


def _numbers(data: Responses, column: str) -> Floats:
    return np.asarray(pc.cast(data[column], pa.float64()).to_numpy(), dtype=np.float64)


def is_rating_list(choice: Ints, groups: Ints) -> bool:
    """Check whether each response of a choice is a group of its own: what is rated is drawn then,
    and not the choices, of which there may be one alone."""
    pairs = np.unique(np.stack([choice, groups]), axis=1).shape[1]
    return bool(pairs == len(choice) > len(np.unique(choice)))


def within_choices(choice: Ints, scores: Floats, reference: Floats) -> Floats:
    """Compute tau-b per choice, from 0 to 1 more than the highest, over the rows that have a
    reference; NaN where one of them is constant."""
    rated = np.isfinite(reference)
    taus = np.full(int(choice.max(initial=-1)) + 1, np.nan)
    own, numbered = np.unique(choice[rated], return_inverse=True)
    taus[own] = kendall(numbered, scores[rated], reference[rated])
    return taus


def over_prompts(scores: Mapping[str, Floats], groups: Ints) -> Iterator[OrderNumber]:
    """Yield tau-b of every two models over all responses, whatever their prompt."""
    for one, two in combinations(scores, 2):
        tau = concordance(scores[one], scores[two], groups=groups).tau_b()
        yield OrderNumber(f"kendall-over-prompts\n{one}\n{two}", tau, groups)


def orders_of_responses(
    scores: Mapping[str, Floats], references: Mapping[str, Floats], choice: Ints, groups: Ints
) -> Iterator[OrderNumber]:
    """Yield the numbers of every two models, then of each model and each reference, over the
    responses that have both."""
    rated = is_rating_list(choice, groups)
    couples = [(one, two, scores[one], scores[two]) for one, two in combinations(scores, 2)]
    couples += [
        (one, two, own, reference)
        for two, reference in references.items()
        for one, own in scores.items()
    ]
    for one, two, left, right in couples:
        both, rows = f"{one}\n{two}", np.isfinite(right)
        left, right, own = left[rows], right[rows], groups[rows]
        over = concordance(left, right, groups=own)
        within = concordance(left, right, choice[rows], own)
        if rated:
            yield OrderNumber(f"kendall\n{both}", within.mean_tau_b(choice[rows]), own)
        yield OrderNumber(f"kendall-over-prompts\n{both}", over.tau_b(), own)
        yield OrderNumber(f"spearman-over-prompts\n{both}", spearman(left, right), own)
        if two in references:
            yield OrderNumber(f"gamma\n{both}", within.gamma(), own)
            yield OrderNumber(f"somers-d\n{both}", within.somers_d(), own)
