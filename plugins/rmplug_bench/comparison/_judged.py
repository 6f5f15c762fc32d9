"""Decisions of each model and each baseline: pairs, or choices among a prompt's responses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Responses, notice
from rmplug.data.choices import choice_of_each
from rmplug_bench._arrays import Floats, Ints, codes
from rmplug_bench.rules._models import ScoredModel, baselines, models
from rmplug_bench.rules._rules import half_for_ties

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """Accuracy of each decision that all judges made, one row each."""

    judges: tuple[ScoredModel, ...]
    right: Floats
    """From 0 to 1, of shape (decisions, judges)."""
    groups: Ints
    subsets: tuple[str | None, ...]
    unit: str

    def indices(self, kind: str) -> list[int]:
        return [index for index, judge in enumerate(self.judges) if judge.kind == kind]


def parts_of(subsets: Sequence[str | None]) -> Iterator[tuple[str, Mask]]:
    """Yield the whole, called ``all``, then each subset."""
    yield "all", np.ones(len(subsets), dtype=bool)
    for name in dict.fromkeys(subsets):
        if name is not None:
            yield name, np.array([subset == name for subset in subsets], dtype=bool)


def judged(
    data: Pairs | Responses, rewards: Sequence[Features], baseline_names: Sequence[str], seed: int
) -> Judged:
    """Judge the decisions of rewards and baselines; one that a judge lacks is left out for all."""
    judges = (*models(data, rewards), *baselines(data, baseline_names, seed))
    if isinstance(data, Pairs):
        firsts, unit = np.arange(len(data)), "pairs"
        columns = [half_for_ties(judge.scores) for judge in judges]
    else:
        choice, unit = choices_of(data), "choices"
        firsts = np.unique(choice, return_index=True)[1]
        label = labels_of(data)
        columns = [_chosen_right(choice, label, judge.scores) for judge in judges]
    right = np.stack(columns, axis=1) if columns else np.empty((len(firsts), 0))
    complete = np.isfinite(right).all(axis=1)
    left_out = data["id"].take(pa.array(firsts[~complete])).to_pylist()
    notice(f"{unit} that not every model decides, left out", left_out, "dropped")
    kept = firsts[complete]
    names = subset_names(data, kept)
    return Judged(judges, right[complete], codes(data["group"])[kept], names, unit)


def subset_names(data: Pairs | Responses, rows: Ints) -> tuple[str | None, ...]:
    """Return the subset of these rows."""
    if "subset" not in data.columns:
        return (None,) * len(rows)
    names = tuple(pc.cast(data["subset"], pa.string()).take(pa.array(rows)).to_pylist())
    if "all" in names:
        raise DataError("a subset is called 'all', the name of the whole; rename it in the data")
    return names


def choices_of(data: Responses) -> Ints:
    """Return the choice of each response, as ``choice_of_each``.

    Choices of several subsets are named in a notice: they count in that of their first response.
    """
    choice = choice_of_each(data.table)
    if "subset" in data.columns:
        firsts = np.unique(choice, return_index=True)[1]
        subset = codes(pc.fill_null(pc.cast(data["subset"], pa.string()), ""))
        mixed = np.bincount(choice, subset != subset[firsts][choice]) > 0
        ids = data["id"].take(pa.array(firsts[mixed])).to_pylist()
        notice("responses to one prompt in several subsets: counted in the first", ids)
    return choice


def labels_of(data: Responses) -> Floats:
    """Return 1 where ``label`` is above 0, else 0; NaN where it is missing."""
    if "label" not in data.columns:
        raise DataError("responses need a column 'label' (above 0 for a right one) to be judged by")
    label = np.asarray(pc.cast(data["label"], pa.float64()).to_numpy(), dtype=np.float64)
    return np.where(np.isnan(label), np.nan, label > 0)


def _chosen_right(choice: Ints, label: Floats, scores: Floats) -> Floats:
    """Compute, per choice, the share of right ones among the best-scored responses.

    NaN where a score or a label is missing, or where all responses are right or all wrong.
    """
    count = np.bincount(choice)
    right = np.bincount(choice, np.nan_to_num(label))
    best = np.full(len(count), -np.inf)
    np.maximum.at(best, choice, np.nan_to_num(scores, nan=-np.inf))
    top = scores == best[choice]
    odd = np.bincount(choice, ~np.isfinite(scores) | ~np.isfinite(label)) > 0
    with np.errstate(invalid="ignore"):
        share = np.bincount(choice, top * np.nan_to_num(label)) / np.bincount(choice, top)
    return np.where(odd | (right == 0) | (right == count), np.nan, share)
