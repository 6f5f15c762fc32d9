"""How far annotators agree, and how reliable each is, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rmplug import Metrics, Pairs, Responses, notice
from rmplug.data.subsets import subset_rows
from rmplug.stats.bootstrap import intervals
from rmplug.stats.intervals import NO_BOUND

from ._agreement import (
    MOST_ORDERED,
    Sums,
    agreement_columns,
    alpha_of_labels,
    alpha_of_numbers,
    cohen_columns,
    cohen_kappa,
    fleiss_kappa,
    moment_columns,
)
from ._dawid_skene import fit_dawid_skene
from ._labels import Labels, columns_of, read_labels
from ._metric_rows import Ints, metrics_of, numbers_of

if TYPE_CHECKING:
    from .annotators import Annotators

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]
COLUMNS = ("metric", "subset", "value", "low", "high", "n", "model", "row", "column")
MOST_PAIRS = 200
MOST_CONFUSIONS = 10
SHARES = ("raw-agreement", "unanimous", "same-label", "reliability-of-annotator")


@dataclass(frozen=True)
class _Judged:
    """The labels of some items, with what their intervals need."""

    labels: Labels
    groups: Ints
    resamples: int
    seed: int

    def rows(
        self, columns: Sums, statistics: Callable[[Sums], dict[str, Floats]], n: str, **more: Any
    ) -> Iterator[Row]:
        """Yield the statistics of the sums of columns, each with its interval; ``n`` names the
        column that counts the items."""
        values = statistics({name: np.asarray(one.sum()) for name, one in columns.items()})
        shares = [name for name in values if name in SHARES]
        found = intervals(columns, self.groups, statistics, self.resamples, self.seed, shares)
        for metric, value in values.items():
            low, high = found.get(metric, NO_BOUND)
            count = int(columns[n].sum())
            yield {"metric": metric, "subset": "all", "value": value, "low": low, "high": high,
                   "n": count, **more}  # fmt: skip


def measure(data: Pairs | Responses, step: Annotators, seed: int) -> Metrics:
    """Compute the metrics of ``Annotators``."""
    labels = read_labels(data, step)
    groups = numbers_of(data.column("group"))[labels.firsts]
    judged = _Judged(labels, groups, step.resamples, seed)
    rows = [*_agreement(judged, labels.counts(), groups, step)]
    table = data.table.select([name for name in ("id", "subset") if name in data.columns])
    for subset, part in subset_rows(table.take(labels.firsts)).items():
        inside = _Judged(labels, groups[part], step.resamples, seed)
        own = _agreement(inside, labels.counts()[part], groups[part], step)
        rows += [{**row, "subset": subset} for row in own]
    rows += [*_pairs(judged, step.least), *_reliability(judged)]
    return metrics_of(rows, COLUMNS)


def _agreement(judged: _Judged, counts: Floats, groups: Ints, step: Annotators) -> Iterator[Row]:
    names, size = judged.labels.names, counts.shape[1]
    numeric = judged.labels.numeric
    columns = agreement_columns(counts)
    few = size <= MOST_ORDERED

    def statistics(sums: Sums) -> dict[str, Floats]:
        made = {
            "raw-agreement": _share(sums["same"], sums["used"]),
            "unanimous": _share(sums["unanimous"], sums["used"]),
            "fleiss-kappa": fleiss_kappa(sums, size),
        }
        if few and step.level in (None, "nominal"):
            made["krippendorff-alpha-nominal"] = alpha_of_labels(sums, size, ordinal=False)
        if few and numeric and step.level in (None, "ordinal"):
            made["krippendorff-alpha-ordinal"] = alpha_of_labels(sums, size, ordinal=True)
        return made

    yield from judged.rows(columns, statistics, "used")
    if numeric and step.level in (None, "interval"):
        moments = {**moment_columns(counts, np.array(names, np.float64)), "used": columns["used"]}
        alpha = "krippendorff-alpha-interval"
        yield from judged.rows(moments, lambda sums: {alpha: alpha_of_numbers(sums)}, "used")


def _share(over: Floats, under: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(over / under)


def _pairs(judged: _Judged, least: int) -> Iterator[Row]:
    """Yield kappa and the share of the same labels of each two annotators, in both cells."""
    codes, names = judged.labels.codes, judged.labels.annotators
    for one, two in _shown_pairs(codes, names, least):
        columns = cohen_columns(codes[:, one], codes[:, two])

        def statistics(sums: Sums) -> dict[str, Floats]:
            same = _share(sums["same"], sums["both"])
            return {"cohen-kappa": cohen_kappa(sums), "same-label": same}

        for row in judged.rows(columns, statistics, "both"):
            yield {**row, "row": names[one], "column": names[two]}
            yield {**row, "row": names[two], "column": names[one]}


def _shown_pairs(codes: Ints, names: Sequence[str], least: int) -> list[tuple[int, int]]:
    """Return the pairs of annotators that share enough items, in order; of more than MOST_PAIRS
    those that share most, and a notice names the others."""
    given = (codes >= 0).astype(np.float64)
    shared = np.triu(given.T @ given, 1)
    ones, others = np.nonzero(shared >= least)
    order = np.argsort(-shared[ones, others], kind="stable")
    left = [f"{names[ones[at]]} and {names[others[at]]}" for at in order[MOST_PAIRS:]]
    what = f"two annotators without a kappa, beyond the {MOST_PAIRS} pairs that share most rows"
    notice(what, left, "dropped", of="pairs of annotators")
    kept = np.sort(order[:MOST_PAIRS])
    return list(zip(ones[kept].tolist(), others[kept].tolist(), strict=True))


def _reliability(judged: _Judged) -> Iterator[Row]:
    """Yield the reliability and the confusion of each annotator, by Dawid and Skene's model."""
    codes, labels = judged.labels.codes, judged.labels
    fit = fit_dawid_skene(codes, len(labels.names))
    for place, name in enumerate(labels.annotators):
        given = codes[:, place]
        right = np.where(given >= 0, fit.posterior[np.arange(len(given)), given], 0.0)
        columns = {"right": right, "given": (given >= 0) * 1.0}

        def statistics(sums: Sums) -> dict[str, Floats]:
            return {"reliability-of-annotator": _share(sums["right"], sums["given"])}

        yield from judged.rows(columns, statistics, "given", model=name)
        if len(labels.annotators) <= MOST_CONFUSIONS and len(labels.names) <= MOST_ORDERED:
            yield from _confusion(labels, fit.confusion[place], name, int((given >= 0).sum()))


def _confusion(labels: Labels, confusion: Floats, annotator: str, n: int) -> Iterator[Row]:
    names = list(columns_of(labels.names))
    for row, true in enumerate(names):
        for column, said in enumerate(names):
            yield {"metric": f"confusion {annotator}", "subset": "all", "n": n, "low": None,
                   "high": None, "value": float(confusion[row, column]), "row": true,
                   "column": said}  # fmt: skip
