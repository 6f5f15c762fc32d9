"""Sums of outcomes, and figures of subsets, sections and the whole, observed or resampled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rmplug.stats.bootstrap import resampled_sums

from ._definitions import Definition
from ._rules import Figure, Floats, Ints, Mask, Outcomes

FEW = 10
"""Fewest groups that are resampled among themselves."""


@dataclass(frozen=True)
class Cells:
    """Cells that items count in: a subset within a value of ``by`` (one value without it)."""

    subsets: tuple[str, ...]
    values: tuple[str, ...]
    cell: Ints
    """The cell of each item: value times number of subsets plus subset."""
    group: Ints

    @property
    def count(self) -> int:
        return len(self.subsets) * len(self.values)

    def strata(self) -> Iterator[tuple[Ints, Mask]]:
        """Yield the cells and the item mask of each stratum of groups.

        Groups that count in the same cells are drawn among themselves, so that every subset keeps
        its size; those that share several cells with few others, all together.
        """
        pairs = np.unique(np.stack([self.group, self.cell], axis=1), axis=0)
        cells_of: dict[int, list[int]] = {}
        for group, cell in pairs.tolist():
            cells_of.setdefault(group, []).append(cell)
        groups_of: dict[tuple[int, ...], list[int]] = {}
        for group, cells in cells_of.items():
            groups_of.setdefault(tuple(cells), []).append(group)
        few = [c for c, groups in groups_of.items() if len(c) > 1 and len(groups) < FEW]
        if few:
            rest = [group for cells in few for group in groups_of.pop(cells)]
            groups_of[tuple(sorted({cell for cells in few for cell in cells}))] = rest
        for together, groups in groups_of.items():
            yield np.asarray(together), np.isin(self.group, groups)


@dataclass(frozen=True)
class Sums:
    """Sums and counts of each column by cell, of shape (draws, cells); ``items`` counts the items
    of the main figure."""

    sums: Mapping[str, Floats]
    counts: Mapping[str, Floats]
    items: Floats

    def means(self, parts: Mapping[str, float]) -> Floats:
        """Compute the weighted sum of the columns' means; NaN in cells without any item."""
        total = np.zeros(self.items.shape)
        any_item = np.zeros(self.items.shape, dtype=bool)
        for name, weight in parts.items():
            count = self.counts[name]
            total += weight * self.sums[name] / np.maximum(count, 1)
            any_item |= count > 0
        return np.where(any_item, total, np.nan)

    def is_share(self, parts: Mapping[str, float], inside: Mask) -> bool:
        """Check whether a figure is a mean of numbers from 0 to 1 in these cells."""
        used = [weight for name, weight in parts.items() if self.counts[name][0, inside].any()]
        return abs(sum(used) - 1) < 1e-9


def as_they_are(outcomes: Outcomes, cells: Cells) -> Sums:
    """Compute the sums of all items, of shape (1, cells)."""

    def by_cell(values: Floats) -> Floats:
        return np.bincount(cells.cell, values, minlength=cells.count)[None].astype(np.float64)

    return _sums(outcomes, {n: by_cell(v) for n, v in _additive(outcomes).items()})


def drawn(outcomes: Outcomes, cells: Cells, resamples: int, seed: int) -> Sums:
    """Compute the sums of resampled groups, of shape (resamples, cells)."""
    columns = _additive(outcomes)
    totals = {name: np.zeros((resamples, cells.count)) for name in columns}
    for number, (together, mask) in enumerate(cells.strata()):
        flat = {
            f"{cell} {name}": np.where(cells.cell[mask] == cell, values[mask], 0.0)
            for name, values in columns.items()
            for cell in together.tolist()
        }
        sums = resampled_sums(flat, cells.group[mask], resamples, [seed, number])
        for key, values in sums.items():
            cell, _, name = key.partition(" ")
            totals[name][:, int(cell)] += values
    return _sums(outcomes, totals)


def _additive(outcomes: Outcomes) -> dict[str, Floats]:
    """Return columns to sum over items: values, and one count per set of counted items."""
    columns: dict[str, Floats] = {"items": outcomes.counted.astype(np.float64)}
    for name, values in outcomes.columns.items():
        columns[f"sum {name}"] = np.nan_to_num(values)
        columns.setdefault(_count_of(values), np.isfinite(values).astype(np.float64))
    return columns


def _count_of(values: Floats) -> str:
    return f"count {np.packbits(np.isfinite(values)).tobytes().hex()}"


def _sums(outcomes: Outcomes, totals: Mapping[str, Floats]) -> Sums:
    columns = outcomes.columns
    return Sums(
        {name: totals[f"sum {name}"] for name in columns},
        {name: totals[_count_of(values)] for name, values in columns.items()},
        totals["items"],
    )


@dataclass(frozen=True)
class Weights:
    """Weights of subsets in sections and of sections in the whole; a pooled whole has none."""

    sections: tuple[str, ...]
    members: tuple[Ints, ...]
    """Indices of each section's subsets."""
    weights: tuple[Floats | None, ...]
    """Their weights; none where every item counts the same."""
    overall: Floats | None
    """The sections' weights; none where every item counts the same."""

    @classmethod
    def of(cls, definition: Definition, subsets: Sequence[str]) -> Weights:
        """Return the weights of the sections of which the data have a subset."""
        placed = [definition.section_of(subset) for subset in subsets]
        names = [name for name in definition.sections if any(p and p[0] == name for p in placed)]
        if not definition.sections:
            return cls((), (), (), None)
        members, weights = [], []
        for name in names:
            inside = [(i, p[1]) for i, p in enumerate(placed) if p and p[0] == name]
            own = [weight for _, weight in inside if weight is not None]
            members.append(np.asarray([i for i, _ in inside]))
            weights.append(np.asarray(own) if own else None)
        whole = np.asarray([definition.weight_of(name) for name in names])
        pooled = definition.overall == "pooled"
        return cls(tuple(names), tuple(members), tuple(weights), None if pooled else whole)


@dataclass(frozen=True)
class Levels:
    """A figure's values, of shape (draws,) each: cells, sections, values of ``by``, the whole."""

    cells: Floats
    sections: dict[str, Floats]
    values: dict[str, Floats]
    overall: Floats


def levels(sums: Sums, figure: Figure, cells: Cells, weights: Weights, present: Mask) -> Levels:
    """Compute a figure at every level.

    ``present`` is the mask of cells with items in the data, of shape (cells,): others leave the
    denominators, as they do in the published tools.
    """
    shape = (-1, len(cells.values), len(cells.subsets))
    means = sums.means(figure.parts)
    mean, items = means.reshape(shape), sums.items.reshape(shape)
    there = present.reshape(shape[1:])
    sections = [
        _weighted(mean[:, :, members], _shares(own, items[:, :, members]), there[:, members])
        for members, own in zip(weights.members, weights.weights, strict=True)
    ]
    whole = _whole(mean, items, there, sections, weights)
    return Levels(
        means,
        {n: _averaged(s) for n, s in zip(weights.sections, sections, strict=True)},
        {name: whole[:, i] for i, name in enumerate(cells.values)} if cells.values[1:] else {},
        _averaged(whole),
    )


def _whole(
    mean: Floats, items: Floats, there: Mask, sections: Sequence[Floats], weights: Weights
) -> Floats:
    """Compute the whole of each value of ``by``, of shape (draws, values)."""
    if weights.overall is None:
        inside = np.arange(mean.shape[2])
        if weights.members:
            inside = np.concatenate(weights.members)
        return _weighted(mean[:, :, inside], items[:, :, inside], there[:, inside])
    if not sections:
        return np.full(mean.shape[:2], np.nan)
    filled = np.stack([there[:, members].any(axis=1) for members in weights.members], axis=1)
    return _weighted(np.stack(sections, axis=2), weights.overall, filled)


def _shares(own: Floats | None, items: Floats) -> Floats:
    return items if own is None else own


def _weighted(values: Floats, weights: Floats, there: Mask) -> Floats:
    """Compute the weighted mean over the last axis of the present entries; NaN without any."""
    weight = np.where(there, weights, 0.0)
    total = np.where(there & (weight > 0), values * weight, 0.0).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / weight.sum(axis=-1))


def _averaged(values: Floats) -> Floats:
    """Compute the mean over the values of ``by`` that have any item."""
    there = np.isfinite(values).any(axis=0)
    return values[:, there].mean(axis=1) if there.any() else np.full(len(values), np.nan)


def section_scores(
    definition: Definition, accuracies: Mapping[str, float], counts: Mapping[str, float]
) -> dict[str, float]:
    """Compute the scores of sections and of ``all`` from accuracies of subsets, without the items.

    ``counts`` is the number of items of each, for sections in which every item counts the same.
    """
    subsets = tuple(accuracies)
    cells = Cells(subsets, ("",), np.arange(len(subsets)), np.arange(len(subsets)))
    items = np.asarray([[float(counts.get(name, 1)) for name in subsets]])
    total = np.asarray([[accuracies[name] for name in subsets]]) * items
    figure = Figure("accuracy", "score", {"accuracy": 1.0})
    sums = Sums({"accuracy": total}, {"accuracy": items}, items)
    scores = levels(sums, figure, cells, Weights.of(definition, subsets), items[0] > 0)
    return {**{n: float(v[0]) for n, v in scores.sections.items()}, "all": float(scores.overall[0])}
