"""The choice of rows, and the conversion between pairs and responses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Responses, Selection, notice, text_of
from rmplug.arrays import Array
from rmplug.data.choices import choice_of_each

from ._expression import mask
from ._lexical import measure_texts

RATINGS = "ratings."


def column_of(
    data: Pairs | Responses, name: str, features: Sequence[Features] = ()
) -> pa.ChunkedArray:
    """Return a column of the data, or ``<step>.<column>`` of features; a missing one is named with
    those that are there."""
    for source in features:
        if name in (f"{source.name}.{column}" for column in source.values):
            return with_features(data, [source])[name]
    if name not in data.columns:
        raise DataError(
            f"{data.name or type(data).__name__} has no column {name!r}; "
            f"there are {', '.join(data.columns)}"
        )
    return data.table[name]


def codes_of(column: pa.ChunkedArray) -> Array:
    """Return a number per distinct value, in order of first appearance; missing is a value too."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    chunks = encoded.chunks if isinstance(encoded, pa.ChunkedArray) else [encoded]
    return np.concatenate([chunk.indices.to_numpy() for chunk in chunks] or [np.zeros(0, int)])


def whole_number(rows: int, n: int | None, fraction: float | None) -> int:
    """Return how many of ``rows`` to take: at most ``n``, or a rounded share."""
    return min(n, rows) if n is not None else round((fraction or 0.0) * rows)


def draw(strata: Array, quotas: Array, seed: int) -> Array:
    """Draw ``quotas[s]`` rows of each stratum ``s`` at random; return their indices, ascending."""
    if not len(strata):
        return np.zeros(0, dtype=np.int64)
    shuffled = np.lexsort((np.random.default_rng(seed).random(len(strata)), strata))
    sizes = np.bincount(strata, minlength=len(quotas))
    rank = np.arange(len(strata)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(shuffled[rank < quotas[strata[shuffled]]])


def proportional(sizes: Array, total: int) -> Array:
    """Return integers in proportion to ``sizes`` that add up to ``total`` (largest remainders)."""
    if not sizes.sum():
        return np.zeros(len(sizes), dtype=np.int64)
    # In whole numbers, so that no rounding decides between remainders.
    share, remainder = np.divmod(sizes.astype(np.int64) * total, sizes.sum())
    most = np.argsort(-remainder, kind="stable")[: total - share.sum()]
    share[most] += 1
    return share


def random_rows(rows: int, n: int | None, fraction: float | None, seed: int) -> Array:
    size = whole_number(rows, n, fraction)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:size])


def stratified_rows(
    column: pa.ChunkedArray, n: int | None, fraction: float | None, each: int | None, seed: int
) -> Array:
    strata = codes_of(column)
    sizes = np.bincount(strata)
    if each is not None:
        return draw(strata, np.minimum(sizes, each), seed)
    return draw(strata, proportional(sizes, whole_number(len(strata), n, fraction)), seed)


def balanced_rows(column: pa.ChunkedArray, each: int | None, seed: int) -> Array:
    """Draw as many rows of every value as the rarest has, or ``each`` where that is less."""
    strata = codes_of(column)
    sizes = np.bincount(strata)
    least = int(sizes.min()) if len(sizes) else 0
    return draw(strata, np.full(len(sizes), least if each is None else min(least, each)), seed)


def length_balanced_rows(
    data: Pairs, unit: str, values: pa.ChunkedArray | None, seed: int
) -> Array:
    """Draw as many pairs with the longer response chosen as with the shorter, for each value.

    Pairs of equal length do not lean either way: all are kept.
    """
    lengths = [
        measure_texts(text_of(data.table[side]), (unit,))[unit] for side in ("chosen", "rejected")
    ]
    leaning = np.sign(lengths[0] - lengths[1]).astype(np.int64)
    strata = np.zeros(len(data), dtype=np.int64) if values is None else codes_of(values)
    cells = strata * 3 + leaning + 1
    sizes = np.bincount(cells, minlength=3 * (int(strata.max(initial=-1)) + 1)).reshape(-1, 3)
    quotas = sizes.copy()
    quotas[:, [0, 2]] = np.minimum(sizes[:, :1], sizes[:, 2:])
    return draw(cells, quotas.reshape(-1), seed)


def group_order(data: Pairs | Responses, by: str | None, seed: int) -> tuple[Array, Array]:
    """Return each row's group, and each group's position in the order of stratum and keyed hash."""
    column = pc.fill_null(data.table["group"], "")
    groups = codes_of(column)
    names = column.unique().to_pylist()
    strata = np.zeros(len(names), dtype=np.int64)
    if by:
        values = column_of(data, by).cast(pa.string())
        order = pc.rank(values, sort_keys="ascending", tiebreaker="dense").to_numpy()
        strata[:] = np.iinfo(np.int64).max
        np.minimum.at(strata, groups, order.astype(np.int64))
    key = str(seed).encode()
    hashes = [hashlib.blake2b(name.encode(), digest_size=8, key=key) for name in names]
    keys = np.array([int.from_bytes(one.digest()) for one in hashes], dtype=np.uint64)
    position = np.empty(len(names), dtype=np.int64)
    position[np.lexsort((keys, strata))] = np.arange(len(names))
    return groups, position


def in_test(position: Array, test: float) -> Array:
    """Return a mask of the test part, evenly spaced over positions: strata keep their share."""
    steps = np.floor((np.arange(len(position) + 1)) * test + 0.5)
    return np.asarray((np.diff(steps) > 0)[position])


def split_rows(
    data: Pairs | Responses, test: float, fold: tuple[int, int] | None, by: str | None, seed: int
) -> Array:
    """Return a mask of the rows in the test part."""
    groups, position = group_order(data, by, seed)
    held_out = in_test(position, test) if fold is None else position % fold[1] == fold[0]
    return np.asarray(held_out[groups])


def with_features(data: Pairs | Responses, features: Sequence[Features]) -> pa.Table:
    """Return the data's table with the features' columns as ``<step>.<column>``, matched by id."""
    table = data.table
    for source in features:
        rows = pc.index_in(table["id"], value_set=source.table["id"].combine_chunks())
        missing = table["id"].filter(pc.is_null(rows)).to_pylist()
        if missing:
            raise DataError(
                f"{source.name or 'the features'} has no row for {len(missing)} of {len(data)} ids "
                f"({', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}); "
                "give features of the same data"
            )
        for name in source.values:
            table = table.append_column(f"{source.name}.{name}", source.table[name].take(rows))
    return table


def filtered_rows(
    data: Pairs | Responses,
    where: str | None,
    features: Sequence[Features],
    selection: Selection | None,
) -> Array:
    kept = np.ones(len(data), dtype=bool)
    if selection is not None:
        chosen = pc.is_in(data.table["id"], value_set=selection.table["id"].combine_chunks())
        kept = chosen.to_numpy()
    if where is not None:
        true = mask(where, with_features(data, features)).to_numpy(zero_copy_only=False)
        _count_dropped(data, kept & ~true, f"not where {where}")
        kept = kept & true
    return np.flatnonzero(kept)


def _count_dropped(data: Pairs | Responses, dropped: Array, what: str) -> None:
    notice(what, data.table["id"].filter(pa.array(dropped)).to_pylist(), "dropped")


def scores_by(data: Responses, by: str | None, scores: Features | None) -> Array:
    """Return the values to compare responses by: features, mean rating, or a column; else NaN."""
    if (by is None) == (scores is None):
        raise DataError(
            "to-pairs compares by one thing: give by (ratings, ratings.<name>, label, rank or "
            "another column) or the input scores"
        )
    if scores is not None:
        column = with_features(data, [scores.select(*_only(scores))])[-1]
    elif by == "ratings":
        return _mean_rating(data)
    else:
        column = column_of(data, str(by))
    return _numbers(column, by or scores.name if scores is not None else str(by))


def _only(scores: Features) -> list[str]:
    scores.only()
    return scores.values


def _mean_rating(data: Responses) -> Array:
    names = [name for name in data.columns if name.startswith(RATINGS)]
    if not names:
        raise DataError(f"{data.name or 'the responses'} have no columns ratings.<name>; set by")
    ratings = np.stack([_numbers(data.table[name], name) for name in names])
    rated = np.isfinite(ratings)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(rated, ratings, 0.0).sum(axis=0) / rated.sum(axis=0))


def _numbers(column: pa.ChunkedArray, name: str) -> Array:
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise DataError(f"column {name!r} is {kind}; responses are compared by numbers")
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())


def paired(data: Responses, scores: Array, every: bool, gap: float) -> tuple[Array, Array]:
    """Return row indices of the better and the worse response per pair of a prompt; count ties."""
    ids = data.table["id"]
    scored = np.flatnonzero(~np.isnan(scores))
    unscored = ids.filter(pa.array(np.isnan(scores))).to_pylist()
    notice("no score to compare by", unscored, "dropped")
    prompts = choice_of_each(data.table)[scored]
    order = np.lexsort((-scores[scored], prompts))
    sizes = np.bincount(prompts)
    sizes = sizes[sizes > 0] if len(sizes) else sizes
    starts = np.cumsum(sizes) - sizes
    notice(
        "the only response to its prompt", _at(ids, scored[order[starts[sizes == 1]]]), "dropped"
    )
    first, second = _all_pairs(sizes) if every else _ends(starts, sizes)
    better, worse = scored[order[first]], scored[order[second]]
    differ = scores[better] - scores[worse]
    _count_ties(ids, better, worse, differ, gap)
    kept = (differ > 0) & (differ >= gap)
    return better[kept], worse[kept]


def _ends(starts: Array, sizes: Array) -> tuple[Array, Array]:
    several = sizes > 1
    return starts[several], (starts + sizes - 1)[several]


def _all_pairs(sizes: Array) -> tuple[Array, Array]:
    """Return all pairs of indices within runs of these sizes, the earlier index first."""
    ends = np.repeat(np.cumsum(sizes), sizes)
    later = ends - np.arange(len(ends)) - 1
    first = np.repeat(np.arange(len(ends)), later)
    return first, first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(later) - later, later)


def _count_ties(
    ids: pa.ChunkedArray, better: Array, worse: Array, differ: Array, gap: float
) -> None:
    ties, close = differ == 0, (differ > 0) & (differ < gap)
    notice("tie", pair_ids(ids, better[ties], worse[ties]), "dropped")
    notice(f"gap below {gap:g}", pair_ids(ids, better[close], worse[close]), "dropped")


def _at(ids: pa.ChunkedArray, rows: Array) -> list[str]:
    taken: list[str] = ids.take(pa.array(rows)).to_pylist()
    return taken


def pair_ids(ids: pa.ChunkedArray, better: Array, worse: Array) -> list[str]:
    return [f"{one}>{other}" for one, other in zip(_at(ids, better), _at(ids, worse), strict=True)]


def pairs_of(data: Responses, better: Array, worse: Array, margin: Array) -> pa.Table:
    """Return the table of pairs; values that the two responses do not share are kept for each."""
    chosen, rejected = (data.table.take(pa.array(rows)) for rows in (better, worse))
    columns: dict[str, Any] = {
        "id": pa.array(pair_ids(data.table["id"], better, worse), pa.string()),
        "group": chosen["group"],
        "prompt": chosen["prompt"],
        "chosen": chosen["response"],
        "rejected": rejected["response"],
        "margin": pa.array(margin, pa.float64()),
    }
    if "subset" in chosen.column_names:
        columns["subset"] = chosen["subset"]
    for name in chosen.column_names:
        if name not in (*columns, "response"):
            for side, table in (("chosen", chosen), ("rejected", rejected)):
                columns[_of_side(name, side)] = table[name]
    return pa.table(columns)


def _of_side(name: str, side: str) -> str:
    """Return the name of one side's column in pairs: ``ratings.chosen.x``, ``model.chosen``."""
    if name.startswith(RATINGS):
        return f"{RATINGS}{side}.{name.removeprefix(RATINGS)}"
    return f"{name}.{side}"
