"""A table of responses and their changed copies, as arrays with a place for each original."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import DataError, Responses, notice
from rmplug.data.choices import choice_of_each
from rmplug.data.messages import count_characters
from rmplug.data.subsets import subset_rows
from rmplug.errors import some
from rmplug_audit.counterfactual_columns import COLUMNS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
INTENTIONS = ("keeps", "improves", "worsens")


@dataclass(frozen=True)
class Change:
    """A perturbation at one dose."""

    perturbation: str
    theme: str
    dose: int
    intention: str

    def __str__(self) -> str:
        return f"{self.perturbation}~{self.dose}"


WHOLE = "all"
"""The name of the whole, beside those of subsets."""
NO_CHANGE = Change("", "", 0, "")


@dataclass(frozen=True)
class Counterfactuals:
    """Originals in their order, and which of them each change was made to."""

    ids: pa.ChunkedArray
    """The ids of all rows of the table."""
    originals: Ints
    """The rows of the originals, shape (originals,)."""
    changes: tuple[Change, ...]
    rows: Ints
    """The row of each change's copy of each original, -1 where there is none, shape (changes,
    originals)."""
    group: Ints
    """The prompt group of each original, numbered from 0, shape (originals,)."""
    choice: Ints
    """The responses that are compared with each other: to one prompt, or of one case."""
    label: Floats
    """1 for a good original, 0 for a bad one, NaN where that is not known."""
    parts: dict[str, Mask]
    """``all``, and each subset, as a mask of the originals."""
    characters: Floats
    """The length of each row of the table."""

    @property
    def groups(self) -> int:
        """The number of prompt groups."""
        return int(self.group.max(initial=-1)) + 1

    def of_originals(self, values: Floats) -> Floats:
        """Return the values of the originals, shape (originals,), of those of all rows."""
        return values[self.originals]

    def of_copies(self, values: Floats) -> Floats:
        """Return the values of the copies, NaN where there is none, shape (changes, originals)."""
        return np.where(self.rows >= 0, values[np.maximum(self.rows, 0)], np.nan)

    @cached_property
    def log_lengths(self) -> tuple[Floats, Floats]:
        """The logarithm of the characters of originals and of copies."""
        logs = np.log(np.maximum(self.characters, 1))
        return self.of_originals(logs), self.of_copies(logs)

    @cached_property
    def preferences(self) -> tuple[Ints, Ints]:
        """Every good original with every bad one of its choice: two arrays of indices."""
        good, bad = (np.flatnonzero(self.label == value) for value in (1, 0))
        bad = bad[np.argsort(self.choice[bad], kind="stable")]
        first = np.searchsorted(self.choice[bad], self.choice[good], side="left")
        count = np.searchsorted(self.choice[bad], self.choice[good], side="right") - first
        ramp = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return np.repeat(good, count), bad[np.repeat(first, count) + ramp]


def counterfactuals(data: Responses) -> Counterfactuals:
    """Read a counterfactual table; raise DataError where copies and originals do not fit."""
    lacking = [name for name in COLUMNS if name not in data.columns]
    if lacking:
        raise DataError(
            f"{data.name or 'the responses'} have no column {some(lacking)}; give responses with "
            "their changed copies, such as those of the kinds 'perturb' and 'variants'"
        )
    _check_ids(data["id"])
    names = pc.fill_null(pc.cast(data["perturbation"], pa.string()), "")
    is_original = np.asarray(pc.equal(names, ""))
    originals, copies = np.flatnonzero(is_original), np.flatnonzero(~is_original)
    _check_originals(data, originals)
    whole = _originals(data)
    changes, change = _changes(data, names, copies)
    rows = np.full((len(changes), len(originals)), -1)
    of = _original_of_each(data, whole["id"], copies)
    order = np.lexsort((of, change))
    same = np.flatnonzero((np.diff(change[order]) == 0) & (np.diff(of[order]) == 0))
    if len(same):
        ids = data["id"].take(pa.array(copies[order[same + 1]])).to_pylist()
        raise DataError(
            f"{len(ids)} copies repeat another one's original, perturbation and dose "
            f"({some(ids)}); give each change of a kind its own dose or name"
        )
    rows[change, of] = copies
    return Counterfactuals(
        data["id"],
        originals,
        changes,
        rows,
        _numbered(pc.fill_null(whole["group"], "")),
        choice_of_each(whole),
        _labels(whole),
        dict(_parts(whole)),
        np.concatenate([np.empty(0), *(count_characters(c) for c in data.chunks("response"))]),
    )


def _check_ids(ids: pa.ChunkedArray) -> None:
    """Refuse rows that are there twice: they would count twice, with the score of the first."""
    if pc.count_distinct(ids).as_py() < len(ids):
        counts = pc.value_counts(ids)
        twice = counts.field(0).filter(pc.greater(counts.field(1), 1)).to_pylist()
        raise DataError(f"{len(twice)} ids have several rows ({some(twice)}); keep one of each")


def _check_originals(data: Responses, originals: Ints) -> None:
    """Refuse copies without the name of their change: they would count as originals."""
    own, named = (data[n].cast(pa.string()).take(pa.array(originals)) for n in ("id", "original"))
    other = pc.fill_null(pc.and_(pc.not_equal(named, own), pc.not_equal(named, "")), False)
    copies = own.filter(other).to_pylist()
    if copies:
        raise DataError(
            f"{len(copies)} copies have no perturbation ({some(copies)}): their column original "
            "names another row; name what was changed"
        )


def _originals(data: Responses) -> pa.Table:
    """Return the originals without their texts: of each prompt there are a hundred copies."""
    kept = [n for n in ("id", "group", "prompt", "case", "label", "subset") if n in data.columns]
    parts = []
    for batch in data.batches():
        names = pc.fill_null(pc.cast(batch.column("perturbation"), pa.string()), "")
        parts.append(batch.select(kept).filter(pc.equal(names, "")))
    return pa.Table.from_batches(parts, pa.schema([data.rows.schema.field(n) for n in kept]))


def _changes(
    data: Responses, names: pa.ChunkedArray, copies: Ints
) -> tuple[tuple[Change, ...], Ints]:
    """Return the changes, perturbations in order of first appearance and doses in rising order, and
    the change of each copy."""
    taken = pa.array(copies)
    doses = pc.fill_null(_numbers(data["dose"], "dose", pa.int64()), 0)
    texts = [pc.fill_null(pc.cast(data[n], pa.string()), "") for n in ("theme", "intention")]
    columns = (column.take(taken).to_pylist() for column in (names, texts[0], doses, texts[1]))
    each = [Change(*row) for row in zip(*columns, strict=True)]
    first = {name: place for place, name in enumerate(dict.fromkeys(c.perturbation for c in each))}
    order = sorted(set(each), key=lambda c: (first[c.perturbation], c.dose, c.theme, c.intention))
    places = {change: place for place, change in enumerate(order)}
    strange = sorted({one.intention for one in places} - set(INTENTIONS))
    if strange:
        raise DataError(f"intention is {strange[0]!r}; it must be one of {', '.join(INTENTIONS)}")
    known: dict[tuple[str, int], Change] = {}
    for one in places:
        other = known.setdefault((one.perturbation, one.dose), one)
        if other != one:
            raise DataError(
                f"{one} has two themes or intentions ({other.theme}, {other.intention}; "
                f"{one.theme}, {one.intention}); give what is different its own name"
            )
    return tuple(places), np.array([places[one] for one in each], dtype=np.int64)


def _original_of_each(data: Responses, ids: pa.ChunkedArray, copies: Ints) -> Ints:
    named = data["original"].cast(pa.string()).take(pa.array(copies))
    of = pc.index_in(named, value_set=ids)
    if of.null_count:
        lost = data["id"].take(pa.array(copies)).filter(pc.is_null(of)).to_pylist()
        raise DataError(
            f"{len(lost)} of {len(copies)} copies have no original in the table ({some(lost)}); "
            "keep the rows with perturbation '' when it is cut or filtered"
        )
    return np.asarray(of.to_numpy()).astype(np.int64)


def _numbers(column: pa.ChunkedArray, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return pc.cast(column, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        whole = "whole numbers" if kind == pa.int64() else "numbers"
        raise DataError(f"column {name!r} must have {whole}: {error}") from error


def _numbered(names: pa.ChunkedArray) -> Ints:
    """Number texts from 0 in their alphabetical order, whatever the order of the rows."""
    known = pc.unique(names)
    known = known.take(pc.sort_indices(known))
    return np.asarray(pc.index_in(names, value_set=known).to_numpy()).astype(np.int64)


def _labels(originals: pa.Table) -> Floats:
    """Return 1 where ``label`` is above 0, else 0; NaN where it is missing."""
    if "label" not in originals.column_names:
        what = "no column 'label' says which responses are good: no flips and no accuracies"
        notice(what, originals["id"].to_pylist())
        return np.full(originals.num_rows, np.nan)
    label = np.asarray(_numbers(originals["label"], "label", pa.float64()).to_numpy())
    unknown = originals["id"].filter(pa.array(np.isnan(label))).to_pylist()
    notice("no label: in no preference, so in no flips and accuracies", unknown)
    return np.where(np.isnan(label), np.nan, label > 0)


def _parts(originals: pa.Table) -> Iterator[tuple[str, Mask]]:
    yield WHOLE, np.ones(originals.num_rows, dtype=bool)
    for name, rows in subset_rows(originals).items():
        if name == WHOLE:
            raise DataError("a subset is called 'all', the name of the whole; rename it")
        mask = np.zeros(originals.num_rows, dtype=bool)
        mask[rows] = True
        yield name, mask
