"""Two or more runs side by side: specs, steps, every number, and models ranked in each run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmplug._store.compare import spec_differences
from rmplug._store.run_numbers import metric_rows
from rmplug._store.store import Store
from rmplug.records import RunRecord
from rmplug.stats.intervals import difference_interval
from rmplug.stats.numbers import Number, number_name

MOST_RUNS = 12
"""Runs that are compared at once."""
RANKED_BY = "accuracy"
"""The metric by which models are ranked: the higher, the better."""

Measured = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class NumberRow:
    """A number of each run, and the difference of each later run from the first, with the interval
    of two runs that are measured apart."""

    name: str
    numbers: Sequence[Number]
    differences: Sequence[Number]

    @property
    def differs(self) -> bool:
        """True unless the number is the same in all runs."""
        return any(one.brief != self.numbers[0].brief for one in self.numbers[1:])


@dataclass(frozen=True)
class Rank:
    """The rank of a model in one run: ``best`` and ``worst`` are the ranks that the intervals leave
    open."""

    number: Number
    rank: int
    best: int
    worst: int


@dataclass(frozen=True)
class RankedModel:
    """A model with its rank in each run, None in a run without it; ``mean`` is over ``runs``."""

    name: str
    ranks: Sequence[Rank | None]
    mean: float
    runs: int


@dataclass(frozen=True)
class SideBySide:
    """All that is said of several runs at once; each list has an entry per run."""

    records: Sequence[RunRecord]
    spec: Sequence[tuple[str, Sequence[str]]]
    steps: Sequence[tuple[str, Sequence[str]]]
    numbers: Sequence[NumberRow]
    models: Sequence[RankedModel]


def compare_all(store: Store, records: Sequence[RunRecord]) -> SideBySide:
    """Compare runs with the first of them."""
    measured = [_measured(store, record) for record in records]
    spec = [(path, [str(one) for one in values]) for path, values in spec_differences(records)]
    return SideBySide(
        records, spec, list(_steps(records)), list(_numbers(measured)), _models(measured)
    )


def _measured(store: Store, record: RunRecord) -> Measured:
    """Return the row of each number of a run by its name; it says which step gave it."""
    return {
        number_name(step, row): {**row, "step": step}
        for step, rows in metric_rows(store, record)
        for row in rows
        if "metric" in row
    }


def _steps(records: Sequence[RunRecord]) -> Iterator[tuple[str, list[str]]]:
    """Yield the steps whose results are not the same, with the state of each in words."""
    for name in dict.fromkeys(name for record in records for name in record.steps):
        steps = [record.steps.get(name) for record in records]
        results = [step.artifact or step.status if step else "" for step in steps]
        if len(set(results)) > 1:
            yield (
                name,
                [
                    "–" if step is None else f"{step.status}, {step.artifact or 'no result'}"
                    for step in steps
                ],
            )


def _numbers(measured: Sequence[Measured]) -> Iterator[NumberRow]:
    for name in dict.fromkeys(name for rows in measured for name in rows):
        numbers = [Number.of(rows.get(name, {})) for rows in measured]
        yield NumberRow(name, numbers, [_minus(one, numbers[0]) for one in numbers[1:]])


def _minus(number: Number, first: Number) -> Number:
    """Return the difference with its interval, which takes the two for independent."""
    if number.value is None or first.value is None:
        return Number(None)
    if number == first:
        return Number(0.0, n=number.n)
    low, high = difference_interval(
        number.value, (number.low, number.high), first.value, (first.low, first.high)
    )
    return Number(number.value - first.value, low, high, number.n)


def _models(measured: Sequence[Measured]) -> list[RankedModel]:
    """Rank models by accuracy on all rows in each run; those with the best mean rank first."""
    by_run = [_accuracies(rows) for rows in measured]
    ranks = [_ranks(numbers) for numbers in by_run]
    ranked = []
    for name in dict.fromkeys(name for found in by_run for name in found):
        own = [found.get(name) for found in ranks]
        known = [one.rank for one in own if one is not None]
        ranked.append(RankedModel(name, own, sum(known) / len(known), len(known)))
    return sorted(ranked, key=lambda one: (-one.runs, one.mean))


def _accuracies(rows: Measured) -> dict[str, Number]:
    found = {}
    for row in rows.values():
        whole = row.get("subset", "all") == "all" and row.get("at") is None
        number = Number.of(row)
        if row["metric"] == RANKED_BY and whole and row.get("model") and number.value is not None:
            found[f"{row['step']}: {row['model']}"] = number
    return found


def _ranks(numbers: Mapping[str, Number]) -> dict[str, Rank]:
    """Rank the models of a run, 1 for the best; those that are equal share the better rank."""
    return {name: _rank(one, list(numbers.values())) for name, one in numbers.items()}


def _rank(one: Number, numbers: Sequence[Number]) -> Rank:
    better = sum(_value(other) > _value(one) for other in numbers)
    surely_better = sum(_is_above(other, one) for other in numbers)
    surely_worse = sum(_is_above(one, other) for other in numbers)
    return Rank(one, better + 1, surely_better + 1, len(numbers) - surely_worse)


def _value(number: Number) -> float:
    return -1.0 if number.value is None else number.value


def _is_above(one: Number, other: Number) -> bool:
    """Check whether the interval of the difference is above 0; never without intervals."""
    low = _minus(one, other).low
    return low is not None and low > 0
