"""Gram sums of states in one pass, as ridge regression needs them, for labels that may be missing.

Rows whose labels are present for the same attributes make up a *cell*; each cell has one Gram
matrix, and that of an attribute is the sum of its cells. Attributes that are labelled independently
of each other would make too many cells, so they are put in blocks: each block has cells of its own,
and a row counts once for each block, not once for each attribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from scipy.linalg import get_lapack_funcs

from rmplug.arrays import Array

Precision = type[np.floating[Any]]
CHUNK_ROWS = 2048
"""Rows in float64 at a time."""
MOST_BYTES = 2**29
"""Cells beyond those that are needed may take this much memory."""
MOST_CELLS = 16
"""Cells of a block beyond those that are needed: with more, each has too few rows to be fast."""
TILE = 256
"""Mirrored at a time: small enough for the cache."""
SAMPLE = 20_000
"""Blocks are chosen by this many rows."""


@dataclass
class GramSums:
    """Sums over the rows of a cell, or of several: in float64 all but the Gram matrix, which has
    the precision that is asked for and is in rectangular full packed form (LAPACK's ``RFP``,
    lower), half the memory of a square."""

    width: int
    labels: int
    precision: Precision = np.float64
    rows: int = 0
    squares: float = 0.0
    """The sum of the squared lengths of the rows."""
    gram: Array = field(init=False)
    x: Array = field(init=False)
    xy: Array = field(init=False)
    y: Array = field(init=False)

    def __post_init__(self) -> None:
        self.gram = np.zeros(self.width * (self.width + 1) // 2, self.precision)
        self.x = np.zeros(self.width)
        self.xy = np.zeros((self.width, self.labels))
        self.y = np.zeros(self.labels)

    def add(self, x: Array, y: Array) -> bool:
        """Add rows (n, width) and their labels (n, labels), both in float64; returns whether all
        are finite numbers."""
        rank_update(self.gram, x.T, 1.0)
        both = np.vstack([np.ones(len(y)), y.T]) @ x
        self.rows += len(x)
        self.squares += float(np.vdot(x, x))
        self.x += both[0]
        self.xy += both[1:].T
        self.y += y.sum(axis=0)
        return bool(np.isfinite(both[0]).all())

    def include(self, other: GramSums, labels: Sequence[int]) -> None:
        """Add the sums of another cell, with these of its labels."""
        self.gram += other.gram
        self.x += other.x
        self.xy += other.xy[:, labels]
        self.y += other.y[labels]
        self.rows += other.rows
        self.squares += other.squares


def rank_update(gram: Array, columns: Array, scale: float) -> None:
    """Compute ``gram += scale * columns @ columns.T``, in place, for a packed Gram matrix and in
    its precision."""
    columns = columns.astype(gram.dtype, copy=False)
    (sfrk,) = get_lapack_funcs(("sfrk",), (gram,))
    sfrk(len(columns), columns.shape[1], scale, columns, 1.0, gram, uplo="L", overwrite_c=1)


def square(gram: Array, width: int) -> Array:
    """Return a packed Gram matrix as a symmetric square in C order."""
    (tfttr,) = get_lapack_funcs(("tfttr",), (gram,))
    full, _ = tfttr(width, gram, uplo="L")
    for start in range(0, width, TILE):
        end = start + TILE
        corner = full[start:end, start:end]
        corner[:] = np.tril(corner) + np.tril(corner, -1).T
        full[start:end, end:] = full[end:, start:end].T
    return np.asarray(full.T)


@dataclass(frozen=True)
class Cell:
    """The rows of one part that are labelled for these attributes (of its block)."""

    attributes: tuple[int, ...]
    part: int


@dataclass(frozen=True)
class RowCells:
    """All cells, and for each block the cell of each row (-1: the row has no label there)."""

    cells: tuple[Cell, ...]
    of_rows: tuple[Array, ...]

    def within(self, start: int, stop: int, parts: Iterable[int]) -> Iterator[tuple[int, Array]]:
        """List the cells of some parts with the indices of their rows among ``start`` to
        ``stop``."""
        wanted = set(parts)
        for of_rows in self.of_rows:
            here = of_rows[start:stop]
            order = np.argsort(here, kind="stable")
            cells, starts = np.unique(here[order], return_index=True)
            for cell, rows in zip(cells, np.split(order, starts[1:]), strict=True):
                if cell >= 0 and self.cells[cell].part in wanted:
                    yield int(cell), rows


def cells_of(labelled: Array, part: Array, width: int) -> RowCells:
    """Make the cells of rows whose labels are present where ``labelled`` (n, K), in parts ``part``
    (n,)."""
    masks, members = distinct(labelled)
    parts = int(part.max()) + 1 if len(part) else 1
    cells: list[Cell] = []
    of_rows = []
    for block in _blocks(masks, parts, width):
        code, held = _codes(masks[:, block])
        cell = np.where(code >= 0, code * parts + part, -1)
        used, position = np.unique(cell, return_inverse=True)
        skipped = int(len(used) > 0 and used[0] < 0)
        of_rows.append((position - skipped + len(cells)).astype(np.int32))
        of_rows[-1][cell < 0] = -1
        for number in used[skipped:].tolist():
            names = [k for j in held[number // parts] for k in members[block[j]]]
            cells.append(Cell(tuple(sorted(names)), number % parts))
    return RowCells(tuple(cells), tuple(of_rows))


def distinct(labelled: Array) -> tuple[Array, list[list[int]]]:
    """Return the distinct columns of ``labelled`` (n, K), and the attributes that have each."""
    members_of: dict[bytes, list[int]] = {}
    for k, packed in enumerate(np.packbits(labelled, axis=0).T):
        members_of.setdefault(packed.tobytes(), []).append(k)
    return labelled[:, [members[0] for members in members_of.values()]], list(members_of.values())


def _codes(masks: Array) -> tuple[Array, list[tuple[int, ...]]]:
    """Return a number per row for its set of masks (n, Q), -1 for none, and the masks of each
    number."""
    code = np.zeros(len(masks), np.int64)
    patterns: list[tuple[int, ...]] = [()]
    for j in range(masks.shape[1]):
        used, code = np.unique(code * 2 + masks[:, j], return_inverse=True)
        patterns = [patterns[n // 2] + ((j,) if n % 2 else ()) for n in used.tolist()]
    if () not in patterns:
        return code, patterns
    empty = patterns.index(())
    patterns.remove(())
    return np.where(code == empty, -1, code - (code > empty)), patterns


@dataclass(frozen=True)
class _Block:
    """A block of masks that share cells, from a sample of rows: each row's code, 0 for no label."""

    masks: tuple[int, ...]
    code: Array

    @property
    def cells(self) -> int:
        return int(self.code.max(initial=0))

    @property
    def rows(self) -> int:
        return int(np.count_nonzero(self.code))

    def with_other(self, other: _Block) -> _Block:
        both = self.code * (other.cells + 1) + other.code
        present = np.bincount(both, minlength=1) > 0
        present[0] = True
        return _Block(self.masks + other.masks, (np.cumsum(present) - 1)[both])


def _blocks(masks: Array, parts: int, width: int) -> list[list[int]]:
    """Group masks that share cells: blocks are merged while that saves rows, or cells cost
    nothing."""
    sample = masks[:: max(1, len(masks) // SAMPLE)].astype(np.int64)
    blocks = [_Block((j,), sample[:, j]) for j in range(masks.shape[1])]
    spare = MOST_BYTES // (width * (width + 1) * 4 * parts)
    merged = {(a.masks, b.masks): a.with_other(b) for a, b in combinations(blocks, 2)}
    while choice := _best_merge(blocks, merged, spare, max(1, MOST_CELLS // parts)):
        first, second, whole = choice
        spare -= max(0, whole.cells - first.cells - second.cells)
        blocks = [block for block in blocks if block is not first and block is not second]
        merged |= {(block.masks, whole.masks): block.with_other(whole) for block in blocks}
        blocks.append(whole)
    return [list(block.masks) for block in blocks]


def _best_merge(
    blocks: Sequence[_Block],
    merged: dict[tuple[tuple[int, ...], tuple[int, ...]], _Block],
    spare: int,
    most: int,
) -> tuple[_Block, _Block, _Block] | None:
    """Find the merge that saves the most rows per added cell; None if none is worth its cost."""
    best, best_value = None, 0.0
    for first, second in combinations(blocks, 2):
        whole = merged[first.masks, second.masks]
        saved = first.rows + second.rows - whole.rows
        more = whole.cells - first.cells - second.cells
        if more <= 0:
            return first, second, whole
        if more <= spare and whole.cells <= most and saved / more > best_value:
            best, best_value = (first, second, whole), saved / more
    return best
