"""Candidates: sets of pairs that buy a human label, and what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from rmplug import DataError, Features, Pairs, Tabular, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug_hybrid.membership._matrix import read_matrix, read_numbers
from rmplug_hybrid.names.feature_names import LENGTHS, parse_feature

from ._designs import (
    SetDesign,
    SetDraws,
    Subsets,
    draw_budgets,
    make_focused_tilts,
    make_spread_tilts,
    repeat_budgets,
    sample_rows,
    spread_budgets,
)
from ._labels import Sources, read_sources

TOTALS = ("size", "agree", "ties")


@dataclass(frozen=True)
class RankedLength:
    """A column whose bins are of percentile ranks within the set: the rank of each row's value
    among all different values, and the limits of its bins."""

    ranks: Array
    bins: tuple[tuple[int, float, float], ...]

    def count(self, rows: Array) -> dict[int, int]:
        """Count the rows of a set in each bin, both limits of which belong to it."""
        counts = np.bincount(self.ranks[rows], minlength=1)
        percentiles = (np.cumsum(counts) - (counts - 1) / 2) / max(int(counts.sum()), 1)
        return {
            column: int(counts[(percentiles >= low) & (percentiles <= high)].sum())
            for column, low, high in self.bins
        }


class SetCounter:
    """A counter of the contents of sets of pairs, many sets at once."""

    def __init__(
        self, members: Any, sources: Sources, rows: int | None, ranked: tuple[RankedLength, ...]
    ) -> None:
        human = sources.human >= 0
        totals = [human, human & sources.agree, ~human]
        wide = [sparse.csr_matrix(column[:, None], dtype=np.float32) for column in totals]
        counted = sparse.diags(human.astype(np.float32)) @ members
        # Sums in float32 are exact below 2 ** 24 rows, and half as wide.
        kind = np.float32 if len(human) < 1 << 24 else np.float64
        self._columns = sparse.hstack([*wide, counted], format="csr", dtype=kind).T.tocsr()
        self._sources = sources
        self._rows = rows
        self._ranked = ranked

    def __call__(self, sets: Array, seeds: Array) -> tuple[Array, Array]:
        """Count for each set TOTALS and each feature, and the rows it trains on."""
        trained = self._trained(sets, seeds)
        bought = sets if self._rows is None else self._still_bought(sets, trained)
        dense = np.ascontiguousarray(bought.T, dtype=self._columns.dtype)
        counts = np.asarray((self._columns @ dense).T, dtype=np.float64)
        for row, inside in enumerate(bought if self._ranked else ()):
            labelled = np.flatnonzero(inside & (self._sources.human >= 0))
            for column in self._ranked:
                for index, count in column.count(labelled).items():
                    counts[row, len(TOTALS) + index] = count
        return counts, trained.sum(axis=1)

    def _trained(self, sets: Array, seeds: Array) -> Array:
        kept = self._sources.kept(sets)
        if self._rows is not None:
            for row, seed in enumerate(seeds):
                kept[row] = sample_rows(kept[row], self._rows, int(seed))
        return kept

    def _still_bought(self, sets: Array, trained: Array) -> Array:
        """Keep the bought labels that are trained on, or are ties."""
        return sets & (trained | (self._sources.human < 0))


def make_candidates(
    design: SetDesign,
    rows: int | None,
    membership: Features,
    human: Pairs | None,
    ai: Pairs | None,
    scores: Features | None,
    seed: int,
) -> Features:
    """Draw and count the sets; one row per candidate, which trains on at most ``rows`` pairs."""
    names, members = read_matrix(membership)
    ids = membership.table["id"].combine_chunks()
    if not len(ids):
        raise DataError("there are no pairs to make candidates of: membership has no rows")
    sources = read_sources(ids, human, ai)
    _report_missing_labels(ids, sources)
    draws = draw_sets(design, members, seed)
    ranked = _find_ranked_lengths(names, ids, scores) if design.original else ()
    counter = SetCounter(members, sources, rows, ranked)
    counts = np.empty((design.n, len(TOTALS) + len(names)))
    trained = np.empty(design.n)
    for start, sets in Subsets(members, draws).blocks():
        part = slice(start, start + len(sets))
        counts[part], trained[part] = counter(sets, draws.seeds[part])
    return _make_table(design.name, draws, names, counts, trained)


def draw_sets(design: SetDesign, members: Any, seed: int) -> SetDraws:
    """Draw the parameters of each candidate's set."""
    rng = np.random.default_rng(seed)
    seeds = np.random.SeedSequence(seed).generate_state(design.n)
    pairs = members.shape[0]
    if design.budgets:
        budgets = repeat_budgets(design.n, design.budgets, pairs)
    elif design.original:
        budgets = draw_budgets(design.n, pairs, rng)
    else:
        budgets = spread_budgets(design.n, design.between, pairs, rng)
    tilts = None
    if design.name == "space-filling":
        tilts = make_spread_tilts(members, budgets, design.strength, rng)
    elif design.name == "stratified":
        tilts = make_focused_tilts(design.n, members, rng)
    tilts = None if tilts is None else tilts.astype(np.float32)
    return SetDraws(design.name == "fill", seeds, budgets, tilts)


def _report_missing_labels(ids: pa.Array, sources: Sources) -> None:
    for who, positions in (("human", sources.human), ("AI", sources.ai)):
        lacking = ids.filter(pa.array(positions < 0)).to_pylist()
        notice(f"no {who} label: a tie, or missing", lacking)


def _find_ranked_lengths(
    names: list[str], ids: pa.Array, scores: Features | None
) -> tuple[RankedLength, ...]:
    """Find the lengths that are ranked again in every set."""
    bins_of: dict[str, list[tuple[int, float, float]]] = {}
    for index, name in enumerate(names):
        about, keys = parse_feature(name)
        if about in LENGTHS and "min_val" in keys:
            limits = float(keys["min_val"]), float(keys["max_val"])
            bins_of.setdefault(about, []).append((index, *limits))
    if not bins_of:
        return ()
    if scores is None:
        raise DataError(
            "compat: original ranks lengths anew in every candidate; give the input scores, with "
            f"the columns {', '.join(bins_of)}"
        )
    missing = [name for name in bins_of if name not in scores.columns]
    if missing:
        raise DataError(
            f"scores has no column {missing[0]!r}, to rank lengths by; it has "
            f"{some(scores.columns, 12)}"
        )
    rows = pc.index_in(ids, value_set=scores.table["id"])
    if rows.null_count:
        raise DataError(f"scores lacks {some(ids.filter(pc.is_null(rows)).to_pylist())}")
    return tuple(
        RankedLength(
            np.unique(read_numbers(scores.table[name].take(rows)), return_inverse=True)[1], tuple(b)
        )
        for name, b in bins_of.items()
    )


def _make_table(
    design: str, draws: SetDraws, names: list[str], counts: Array, rows: Array
) -> Features:
    n = len(draws)
    ids = [f"candidate-{number:0{len(str(n))}d}" for number in range(1, n + 1)]
    columns: dict[str, Any] = {
        "id": pa.array(ids, pa.string()),
        "item": pa.array(ids, pa.string()),
        "design": pa.array([design] * n, pa.string()),
        "seed": pa.array(draws.seeds.astype(np.float64)),
        "budget": pa.array(draws.budgets.astype(np.float64)),
        **{name: pa.array(counts[:, index]) for index, name in enumerate(TOTALS)},
        "rows": pa.array(rows),
    }
    if draws.tilts is not None:
        flat = pa.array(np.ascontiguousarray(draws.tilts).reshape(-1))
        columns["tilt"] = pa.FixedSizeListArray.from_arrays(flat, len(names))
    for index, name in enumerate(names):
        columns[f"count.{name}"] = pa.array(counts[:, len(TOTALS) + index])
    # Through a plain table, which keeps the texts that name items and designs.
    return Features(Tabular(pa.table(columns)).rows, "candidates")


def read_draws(candidate: Features) -> SetDraws:
    """Read the parameters of a candidate's set from its row."""
    table = candidate.table
    tilts = None
    if "tilt" in table.column_names:
        flat = table["tilt"].combine_chunks().flatten()
        tilts = np.asarray(flat).reshape(table.num_rows, -1)
    seeds, budgets = (read_numbers(table[name]).astype(np.int64) for name in ("seed", "budget"))
    return SetDraws(table["design"][0].as_py() == "fill", seeds, budgets, tilts)
