"""The n-gram reward head: its training with cross-validated penalty, its files, its scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rmplug import DataError, Pairs, RewardModel, notice
from rmplug.data.messages import length_gap
from rmplug.models.files import read_json
from rmplug.stats.estimates import mean
from rmplug.stats.folds import deal_folds
from rmplug.stats.intervals import held_out_freedom
from rmplug.stats.metric_rows import estimated, number, wins
from rmplug.stats.row_weights import weights_and_margins
from rmplug.stats.strength_search import StrengthSearch

from ._bradley_terry import Comparisons, fit_weights, losses
from ._ngram_counts import NgramRecipe, count_ngrams

HEAD_FILE, WEIGHTS_FILE = "head.json", "weights.parquet"
MOST_WEIGHTS = 1 << 28
PATIENCE = 2

__all__ = ["NgramRecipe", "open_head", "train"]


def train(
    data: Pairs, recipe: NgramRecipe, grid: Sequence[float], folds: int, seed: int, directory: Path
) -> list[dict[str, Any]]:
    """Train on all pairs, write the head to ``directory``, and return the held-out numbers."""
    table = data.table
    groups = np.asarray(table["group"].combine_chunks().dictionary_encode().indices)
    if len(groups) == 0 or groups.max() < 1:
        raise DataError(
            f"ngram-head needs pairs of at least 2 groups (prompts), there are {len(groups)} pairs "
            f"of {len(set(groups.tolist()))}; give more data"
        )
    differences = _differences(table, recipe)
    identical = np.diff(differences.indptr) == 0
    notice("chosen and rejected have the same n-grams", _ids(table, identical), "kept")
    columns = np.unique(differences.indices)
    pairs = Comparisons.of(differences[:, columns], *weights_and_margins(table))
    fold = deal_folds(groups, min(folds, int(groups.max()) + 1), seed)
    # One thread: sums of floats depend on how they are shared out between threads.
    with threadpool_limits(1):
        search = search_strength(pairs, tuple(sorted(set(grid), reverse=True)), fold)
        weights = _fit_path(pairs, search.grid[: search.best() + 1])
    _save(directory, recipe, columns, weights, search)
    return _numbers(table, search, groups, identical, weights)


def search_strength(pairs: Comparisons, grid: Sequence[float], fold: np.ndarray) -> StrengthSearch:
    """Compute held-out leads from the greatest strength down, until two in a row are no better."""
    folds = range(int(fold.max()) + 1)
    training = [pairs.take(fold != k) for k in folds]
    found = [part.start() for part in training]
    leads: list[np.ndarray] = []
    mean_losses: list[np.ndarray] = []
    shares = np.bincount(fold, weights=pairs.weights)
    for l2 in grid:
        lead = np.empty(len(fold))
        for k in folds:
            found[k] = fit_weights(training[k], l2, found[k])
            lead[fold == k] = pairs.differences[fold == k] @ training[k].weights_of(found[k])
        leads.append(lead)
        sums = np.bincount(fold, weights=pairs.weights * losses(lead))
        mean_losses.append(sums / np.maximum(shares, 1e-300))
        totals = [losses_by_fold @ shares for losses_by_fold in mean_losses]
        if len(totals) - 1 - int(np.argmin(totals)) >= PATIENCE:
            break
    return StrengthSearch(tuple(grid), fold, np.array(leads), np.array(mean_losses), shares)


class NgramReward(RewardModel):
    """A reward model that sums the weights of a response's n-grams."""

    def __init__(self, recipe: NgramRecipe, weights: np.ndarray) -> None:
        self.recipe, self.weights = recipe, weights

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        """Return float64 rewards (rows,); 0 for an empty response."""
        if not responses.num_rows:
            return np.empty(0)
        counts = count_ngrams(self.recipe, responses["prompt"], responses["response"])
        return cast(np.ndarray, counts @ self.weights)


def open_head(directory: Path) -> NgramReward:
    """Open the head in a directory; anything else is refused."""
    saved = read_json(directory / HEAD_FILE)
    try:
        recipe = saved["recipe"]
        spans = {
            name: tuple(recipe[name]) if recipe[name] else None for name in ("words", "characters")
        }
        made = NgramRecipe(**{**recipe, **spans})
        sorts = sum(map(bool, (made.words, made.characters, made.cross_prompt)))
        if saved["size"] != sorts * made.dimensions:
            raise ValueError("its weights are of another recipe")
        return NgramReward(made, _read_weights(directory / WEIGHTS_FILE, saved["size"]))
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, IndexError) as error:
        line = (str(error).strip().splitlines() or [""])[0]
        raise DataError(
            f"{directory} does not hold a head that ngram-head has trained "
            f"({type(error).__name__}: {line}); give the folder that it wrote"
        ) from error


def _read_weights(path: Path, size: Any) -> np.ndarray:
    if type(size) is not int or not 0 < size <= MOST_WEIGHTS:
        raise ValueError(f"a size of {size!r:.20}")
    table = pq.read_table(path)
    at = table["place"].to_numpy()
    if len(at) and not 0 <= at.min() <= at.max() < size:
        raise IndexError("a weight of an n-gram that is not there")
    weights = np.zeros(size)
    weights[at] = table["weight"].to_numpy()
    return weights


def _differences(table: pa.Table, recipe: NgramRecipe) -> csr_array:
    """Return chosen minus rejected n-grams, without the zeros of shared ones."""
    chosen, rejected = (
        count_ngrams(recipe, table["prompt"], table[side]) for side in ("chosen", "rejected")
    )
    differences = csr_array(chosen - rejected)
    differences.eliminate_zeros()
    return differences


def _fit_path(pairs: Comparisons, strengths: Sequence[float]) -> np.ndarray:
    found = pairs.start()
    for l2 in strengths:
        found = fit_weights(pairs, l2, found)
    return pairs.weights_of(found)


def _save(
    directory: Path,
    recipe: NgramRecipe,
    columns: np.ndarray,
    weights: np.ndarray,
    search: StrengthSearch,
) -> None:
    sorts = bool(recipe.words) + bool(recipe.characters) + recipe.cross_prompt
    head = {
        "recipe": asdict(recipe),
        "size": recipe.dimensions * sorts,
        "l2": search.strength,
    }
    (directory / HEAD_FILE).write_text(json.dumps(head, indent=1), encoding="utf-8")
    table = pa.table({"place": columns.astype(np.int64), "weight": weights})
    pq.write_table(table, directory / WEIGHTS_FILE)


def _numbers(
    table: pa.Table,
    search: StrengthSearch,
    groups: np.ndarray,
    identical: np.ndarray,
    weights: np.ndarray,
) -> list[dict[str, Any]]:
    """Compute held-out numbers: each fold with the strength that is best on the other folds."""
    rows, folds = len(search.fold), len(search.fold_weights)
    lead = search.held_out()
    estimates = {
        "accuracy": mean(wins(lead), "share"),
        "log-loss": mean(losses(lead), "positive"),
        "accuracy-of-longer": mean(wins(length_gap(table)), "share"),
    }
    freedom = held_out_freedom(int(groups.max()) + 1, folds)
    return [
        *estimated(estimates, groups, freedom),
        *search.numbers(),
        number("folds", folds, rows),
        number("groups", int(groups.max()) + 1, rows),
        number("identical", int(identical.sum()), rows),
        number("weights", int(np.count_nonzero(weights)), rows),
    ]


def _ids(table: pa.Table, rows: np.ndarray) -> list[str]:
    ids: list[str] = table["id"].filter(rows).to_pylist()
    return ids
