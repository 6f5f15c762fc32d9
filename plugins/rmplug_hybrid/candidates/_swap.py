"""Training sets in which some pairs have the human's label and all others the AI's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Features, Pairs, Selection, notice
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug_hybrid.membership._matrix import read_matrix, read_numbers

from ._candidates import read_draws
from ._designs import Subsets, sample_rows
from ._labels import Sources, merge_ids, read_sources


def make_training_set(
    human: Pairs,
    ai: Pairs,
    chosen: Selection | Features,
    membership: Features | None,
    rows: int | None,
    seed: int,
) -> Pairs:
    """Make the training set of one candidate, or of one selection."""
    if isinstance(chosen, Selection):
        ids = merge_ids(human, ai)
        bought = _mark_listed(ids, chosen)
        sources = read_sources(ids, human, ai)
        kept = _choose_rows(ids, sources, bought, rows, seed)
    else:
        if membership is None:
            raise DataError(
                "swap draws a candidate's pairs again from their features; give it the input "
                "membership, that the candidates were made of"
            )
        ids = membership.table["id"].combine_chunks()
        sources = read_sources(ids, human, ai)
        bought = _draw_again(chosen, membership)
        whole, own = int(_read_number(chosen, "rows")), int(_read_number(chosen, "seed"))
        kept = _choose_rows(ids, sources, bought, whole, own)
        _check_counts(chosen, kept & bought, kept, whole)
        kept = _choose_rows(ids, sources, bought, rows, seed, kept)
    return _take_rows(human, ai, sources, bought, kept)


def _mark_listed(ids: pa.Array, chosen: Selection) -> Array:
    routes = chosen.table["item"].unique().to_pylist() if "item" in chosen.columns else []
    if len(routes) > 1:
        raise DataError(
            f"swap takes one route and got {len(routes)} ({some(routes)}); put it into a for-each "
            "over them, and give it the item"
        )
    wanted = chosen.table["id"].filter(pc.not_equal(chosen.table["id"], ""))
    unknown = wanted.filter(pc.invert(pc.is_in(wanted, value_set=ids))).to_pylist()
    if unknown and len(unknown) == len(wanted):
        raise DataError(
            f"none of the chosen ids is in human or ai ({some(unknown)}); give the pairs that they "
            "were chosen from"
        )
    notice("chosen, and a tie or missing in both sources", unknown, "dropped")
    return np.asarray(pc.is_in(ids, value_set=wanted))


def _draw_again(chosen: Features, membership: Features) -> Array:
    """Draw again the pairs that a candidate buys labels for."""
    missing = [name for name in ("design", "seed", "budget", "rows") if name not in chosen.columns]
    if missing:
        raise DataError(
            f"{chosen.name or 'chosen'} has no column {missing[0]!r}; give a row of candidates, or "
            "a selection of ids"
        )
    if len(chosen) != 1:
        raise DataError(
            f"swap takes one candidate and got {len(chosen)}; put it into a for-each over them, "
            "and give it the item"
        )
    _, members = read_matrix(membership)
    draws = read_draws(chosen)
    if draws.tilts is not None and draws.tilts.shape[1] != members.shape[1]:
        raise DataError(
            f"the candidate was made of {draws.tilts.shape[1]} features, membership has "
            f"{members.shape[1]}; give the membership that the candidates were made of"
        )
    drawn: Array = Subsets(members, draws).read(0, 1)[0]
    return drawn


def _read_number(chosen: Features, name: str) -> float:
    return float(read_numbers(chosen.table[name])[0])


def _check_counts(chosen: Features, bought: Array, kept: Array, whole: int) -> None:
    """Check that the set is the one that was counted, by its sizes."""
    size = int(_read_number(chosen, "size"))
    redrawn = int(np.count_nonzero(bought))
    if redrawn != size or int(np.count_nonzero(kept)) != whole:
        raise DataError(
            f"candidate {chosen.table['id'][0]} has {size} human labels among {whole} pairs, and "
            f"{redrawn} among {int(np.count_nonzero(kept))} when drawn again; give the membership, "
            "human and ai that the candidates were made of"
        )


def _choose_rows(
    ids: pa.Array,
    sources: Sources,
    bought: Array,
    rows: int | None,
    seed: int,
    kept: Array | None = None,
) -> Array:
    """Choose the pairs to train on: those whose label is no tie, at most ``rows`` of them."""
    if kept is None:
        kept = sources.kept(bought)
        for who, mine in (("human", bought), ("AI", ~bought)):
            ties = ids.filter(pa.array(~kept & mine)).to_pylist()
            notice(f"the {who} label is a tie, or missing", ties, "dropped")
    return kept if rows is None else sample_rows(kept, rows, seed)


def _take_rows(human: Pairs, ai: Pairs, sources: Sources, bought: Array, kept: Array) -> Pairs:
    """Take the pairs as their source has them; a column that one source lacks is null there."""
    both = pa.concat_tables([human.table, ai.table], promote_options="permissive")
    positions = np.where(bought, sources.human, len(human) + sources.ai)[kept]
    table = both.take(pa.array(positions))
    if "is_swapped" in table.column_names:
        table = table.drop_columns(["is_swapped"])
    return Pairs(table.append_column("is_swapped", pa.array(bought[kept])))
