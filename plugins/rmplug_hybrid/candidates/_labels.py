"""Two sources of labels for the same pairs: who has one, and who agrees; a reward as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, notice, text_of
from rmplug.arrays import Array
from rmplug.data.sides import exchange_sides
from rmplug.errors import some
from rmplug_hybrid.membership._matrix import read_numbers


@dataclass(frozen=True)
class Sources:
    """The rows of pairs in two sources (-1: a tie or missing there), and whether both prefer
    the same response. Without sources, all pairs have both labels, which never agree."""

    human: Array
    ai: Array
    agree: Array

    def kept(self, bought: Array) -> Array:
        """Return a mask of pairs whose label in force (the human's if it was bought, else the AI's)
        is no tie."""
        kept: Array = np.where(bought, self.human >= 0, self.ai >= 0)
        return kept


def read_sources(ids: pa.Array, human: Pairs | None, ai: Pairs | None) -> Sources:
    """Read what two sources say of the pairs with these ids; both must be of the same responses.
    Pairs with other ids are named."""
    (by_human, mine), (by_ai, theirs) = (
        _look_up(ids, pairs, who) for pairs, who in ((human, "human"), (ai, "ai"))
    )
    agree = np.zeros(len(ids), dtype=bool)
    if human is not None and ai is not None:
        both = np.flatnonzero((by_human >= 0) & (by_ai >= 0))
        one, two = mine[by_human[both]], theirs[by_ai[both]]
        agree[both] = (one == two).all(axis=1)
        odd = both[~agree[both] & ~(one == two[:, ::-1]).all(axis=1)]
        if len(odd):
            raise DataError(
                f"human and ai have different responses for {len(odd)} pairs "
                f"({some(ids.take(pa.array(odd)).to_pylist())}); give the same pairs, labelled "
                "by each"
            )
    return Sources(by_human, by_ai, agree)


def _look_up(ids: pa.Array, pairs: Pairs | None, who: str) -> tuple[Array, Array]:
    """Find the row of each id in a source, and hash the source's responses."""
    if pairs is None:
        return np.arange(len(ids)), np.empty((0, 2), dtype=np.uint64)
    source_ids, hashes = hash_responses(pairs)
    if pc.count_distinct(source_ids).as_py() < len(source_ids):
        raise DataError(f"{pairs.name or who} has ids that are there twice; give each its own")
    extra = source_ids.filter(pc.invert(pc.is_in(source_ids, value_set=ids))).to_pylist()
    notice(f"labelled in {who}, and without features", extra, "dropped")
    positions = pc.fill_null(pc.index_in(ids, value_set=source_ids), -1)
    return np.asarray(positions).astype(np.int64), hashes


def hash_responses(pairs: Pairs) -> tuple[pa.ChunkedArray, Array]:
    """Return the ids, and 64-bit hashes of the texts of ``chosen`` and ``rejected``, shape (rows,
    2); texts are read a batch at a time."""
    ids, hashes = [], [np.empty((0, 2), dtype=np.uint64)]
    for batch in pairs.batches():
        ids.append(batch.column("id"))
        sides = (text_of(batch.column(side)) for side in ("chosen", "rejected"))
        hashes.append(np.column_stack([_hash_texts(texts) for texts in sides]))
    return pa.chunked_array(ids, type=pa.string()), np.concatenate(hashes)


def _hash_texts(texts: pa.Array) -> Array:
    def digests() -> Iterable[bytes]:
        for text in texts.to_pylist():
            yield hashlib.blake2b((text or "").encode(), digest_size=8).digest()

    return np.frombuffer(b"".join(digests()), dtype=np.uint64)


def merge_ids(human: Pairs, ai: Pairs) -> pa.Array:
    """Merge the ids of both sources: in the human's order, and those that only the AI has after the
    ones they follow there."""
    mine, theirs = (pairs.table["id"].combine_chunks() for pairs in (human, ai))
    positions = np.asarray(pc.fill_null(pc.index_in(theirs, value_set=mine), -1)).astype(np.int64)
    extra = np.flatnonzero(positions < 0)
    last = np.maximum.accumulate(np.where(positions >= 0, np.arange(len(positions)), -1))[extra]
    after = np.where(last >= 0, positions[last], -1)
    order = np.lexsort(
        (
            np.concatenate([np.full(len(mine), -1), extra]),
            np.concatenate([np.arange(len(mine)), after]),
        )
    )
    return pa.concat_arrays([mine, theirs.take(pa.array(extra))]).take(pa.array(order))


def relabel_pairs(data: Pairs, reward: Features, by: str, gap: float, ties: str) -> Pairs:
    """Return the same pairs, with the response of the higher reward as the chosen one."""
    table = data.table
    margins = _read_margins(data, reward, by)
    unknown, tied = np.isnan(margins), np.abs(margins) <= gap
    for problem, mask in ((f"no {by}", unknown), (f"a tie by {by}", tied)):
        listed = table["id"].filter(pa.array(mask)).to_pylist()
        if listed and ties == "error":
            raise DataError(
                f"{len(listed)} pairs have {problem} ({some(listed)}); set ties to drop or keep"
            )
        notice(problem, listed, "dropped" if ties == "drop" else "kept")
    turn = (margins < 0) & ~tied
    turned = exchange_sides(table, turn)
    for name in ("margin", "lead", "relabelled"):
        turned = turned.drop_columns([name]) if name in turned.column_names else turned
    turned = turned.append_column("lead", pa.array(np.abs(margins), from_pandas=True))
    turned = turned.append_column("relabelled", pa.array(turn))
    return Pairs(turned if ties == "keep" else turned.filter(pa.array(~(unknown | tied))))


def _read_margins(data: Pairs, reward: Features, by: str) -> Array:
    if by not in reward.columns:
        raise DataError(
            f"{reward.name or 'reward'} has no column {by!r}; it has {some(reward.values, 12)}"
        )
    ids = data.table["id"]
    positions = pc.index_in(ids, value_set=reward.table["id"])
    if positions.null_count:
        raise DataError(
            f"{reward.name or 'reward'} lacks {positions.null_count} of {len(ids)} pairs "
            f"({some(ids.filter(pc.is_null(positions)).to_pylist())}); ask the model about "
            "these pairs"
        )
    return read_numbers(reward.table[by].take(positions))
