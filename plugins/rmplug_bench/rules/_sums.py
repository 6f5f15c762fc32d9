"""From outcomes of items to figures of subsets, sections and the whole, drawn or as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rmplug.stats.bootstrap import resampled_sums

from ._definitions import Definition
from ._rules import Figure, Floats, Ints, Mask, Outcomes

FEW = 10
"""Fewer groups than this would vary too little among themselves."""


@dataclass(frozen=True)
class Cells:
    """Where items count: a cell is a subset within a value of ``by`` (one value without it)."""

    subsets: tuple[str, ...]
    values: tuple[str, ...]
    cell: Ints
    """The cell of each item: value times number of subsets plus subset."""
    group: Ints

    @property
    def count(self) -> int:
        return len(self.subsets) * len(self.values)

    def strata(self) -> Iterator[tuple[Ints, Mask]]:
        """Groups that count in the same cells are drawn among themselves, so that every subset
        keeps its size; those that share several cells with few others, all together. The cells, and
        the items of those groups."""
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
        """The weighted sum of the columns' means; NaN in cells without any item."""
        total = np.zeros(self.items.shape)
        any_item = np.zeros(self.items.shape, dtype=bool)
        for name, weight in parts.items():
            count = self.counts[name]
            total += weight * self.sums[name] / np.maximum(count, 1)
            any_item |= count > 0
        return np.where(any_item, total, np.nan)

    def is_share(self, parts: Mapping[str, float], inside: Mask) -> bool:
        """Whether a figure is a mean of numbers from 0 to 1 in these cells."""
        used = [weight for name, weight in parts.items() if self.counts[name][0, inside].any()]
        return abs(sum(used) - 1) < 1e-9


def as_they_are(outcomes: Outcomes, cells: Cells) -> Sums:
    """The sums of all items, of shape (1, cells)."""

    def by_cell(values: Floats) -> Floats:
        return np.bincount(cells.cell, values, minlength=cells.count)[None].astype(np.float64)

    return _sums(outcomes, {n: by_cell(v) for n, v in _additive(outcomes).items()})


def drawn(outcomes: Outcomes, cells: Cells, resamples: int, seed: int) -> Sums:
    """The sums of resampled groups, of shape (resamples, cells)."""
    columns = _additive(outcomes)
    found = {name: np.zeros((resamples, cells.count)) for name in columns}
    for number, (together, mask) in enumerate(cells.strata()):
        flat = {
            f"{cell} {name}": np.where(cells.cell[mask] == cell, values[mask], 0.0)
            for name, values in columns.items()
            for cell in together.tolist()
        }
        sums = resampled_sums(flat, cells.group[mask], resamples, [seed, number])
        for key, values in sums.items():
            cell, _, name = key.partition(" ")
            found[name][:, int(cell)] += values
    return _sums(outcomes, found)


def _additive(outcomes: Outcomes) -> dict[str, Floats]:
    """Columns to sum over items: values and, once for those that count the same items, counts."""
    found: dict[str, Floats] = {"items": outcomes.known.astype(np.float64)}
    for name, values in outcomes.columns.items():
        found[f"sum {name}"] = np.nan_to_num(values)
        found.setdefault(_count_of(values), np.isfinite(values).astype(np.float64))
    return found


def _count_of(values: Floats) -> str:
    return f"count {np.packbits(np.isfinite(values)).tobytes().hex()}"


def _sums(outcomes: Outcomes, found: Mapping[str, Floats]) -> Sums:
    columns = outcomes.columns
    return Sums(
        {name: found[f"sum {name}"] for name in columns},
        {name: found[_count_of(values)] for name, values in columns.items()},
        found["items"],
    )


@dataclass(frozen=True)
class Weights:
    """How subsets make sections and sections the whole; ``pooled`` sections count every item."""

    sections: tuple[str, ...]
    members: tuple[Ints, ...]
    """The places of each section's subsets."""
    weights: tuple[Floats | None, ...]
    """Their weights; none where every item counts the same."""
    overall: Floats | None
    """The sections' weights; none where every item counts the same."""

    @classmethod
    def of(cls, definition: Definition, subsets: Sequence[str]) -> Weights:
        """The sections of which the data have a subset."""
        placed = [definition.section_of(subset) for subset in subsets]
        names = [name for name in definition.sections if any(p and p[0] == name for p in placed)]
        if not definition.sections:
            return cls((), (), (), None)
        members, weights = [], []
        for name in names:
            inside = [(i, p[1]) for i, p in enumerate(placed) if p and p[0] == name]
            given = [weight for _, weight in inside if weight is not None]
            members.append(np.asarray([i for i, _ in inside]))
            weights.append(np.asarray(given) if given else None)
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
    """A figure at every level; ``present`` says which cells have items in the data, of shape
    (cells,): others leave the denominators, as they do in the published tools."""
    shape = (-1, len(cells.values), len(cells.subsets))
    means = sums.means(figure.parts)
    mean, items = means.reshape(shape), sums.items.reshape(shape)
    there = present.reshape(shape[1:])
    sections = [
        _weighted(mean[:, :, places], _shares(given, items[:, :, places]), there[:, places])
        for places, given in zip(weights.members, weights.weights, strict=True)
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
    """The whole of each value of ``by``, of shape (draws, values)."""
    if weights.overall is None:
        inside = np.arange(mean.shape[2])
        if weights.members:
            inside = np.concatenate(weights.members)
        return _weighted(mean[:, :, inside], items[:, :, inside], there[:, inside])
    if not sections:
        return np.full(mean.shape[:2], np.nan)
    known = np.stack([there[:, places].any(axis=1) for places in weights.members], axis=1)
    return _weighted(np.stack(sections, axis=2), weights.overall, known)


def _shares(given: Floats | None, items: Floats) -> Floats:
    return items if given is None else given


def _weighted(values: Floats, weights: Floats, there: Mask) -> Floats:
    """The weighted mean over the last axis of what is there; NaN where nothing is."""
    weight = np.where(there, weights, 0.0)
    total = np.where(there & (weight > 0), values * weight, 0.0).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / weight.sum(axis=-1))


def _averaged(values: Floats) -> Floats:
    """The mean over the values of ``by`` that have any item."""
    there = np.isfinite(values).any(axis=0)
    return values[:, there].mean(axis=1) if there.any() else np.full(len(values), np.nan)


def section_scores(
    definition: Definition, accuracies: Mapping[str, float], counts: Mapping[str, float]
) -> dict[str, float]:
    """Sections and ``all`` from accuracies of subsets, where items are not at hand; ``counts`` is
    the number of items of each, for sections in which every item counts the same."""
    subsets = tuple(accuracies)
    cells = Cells(subsets, ("",), np.arange(len(subsets)), np.arange(len(subsets)))
    items = np.asarray([[float(counts.get(name, 1)) for name in subsets]])
    total = np.asarray([[accuracies[name] for name in subsets]]) * items
    figure = Figure("accuracy", "score", {"accuracy": 1.0})
    sums = Sums({"accuracy": total}, {"accuracy": items}, items)
    found = levels(sums, figure, cells, Weights.of(definition, subsets), items[0] > 0)
    return {**{n: float(v[0]) for n, v in found.sections.items()}, "all": float(found.overall[0])}
