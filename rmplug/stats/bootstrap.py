"""Bootstrap over groups: rows of one prompt are drawn together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from rmplug.arrays import Array

from .intervals import Bounds, interval_of_draws

if TYPE_CHECKING:
    import numpy as np

Sums: TypeAlias = Mapping[str, Array]
Statistics: TypeAlias = Callable[[Sums], Mapping[str, Array]]
"""From the sums of columns to numbers, for one set of sums or for many resamples at once."""
CELLS = 100_000
"""Draws at a time: small enough to stay in the cache."""
COST_OF_OUTCOME = 10
"""One outcome of a multinomial draw costs about as much as this many drawn groups."""
MOST_UNITS = 1000
"""More groups than this are dealt at random into as many blocks, and blocks are drawn: a resample
then costs the same for any number of rows, and the variance of 1,000 blocks is known to 4.5 %."""


def intervals(
    columns: Sums,
    groups: Array,
    statistics: Statistics,
    resamples: int,
    seed: int | Sequence[int],
    shares: Collection[str] = (),
) -> dict[str, Bounds]:
    """Compute 95 % confidence intervals of functions of sums: Wilson's for ``shares``, expanded
    percentiles for all else; empty for fewer than 2 groups."""
    import numpy as np

    number = len(np.unique(groups))
    if number < 2:
        return {}
    drawn = statistics(resampled_sums(columns, groups, resamples, seed))
    whole = statistics({name: np.asarray(c.sum()) for name, c in columns.items()})
    return {
        name: interval_of_draws(
            float(whole[name]), draws, number, "share" if name in shares else "plain"
        )
        for name, draws in drawn.items()
    }


def resampled_sums(
    columns: Sums,
    groups: Array,
    resamples: int,
    seed: int | Sequence[int],
) -> dict[str, Array]:
    """Return the sum of each column over the rows of each resample of groups: one number per
    resample.

    ``columns`` have a number, ``groups`` the group of each row. For statistics that are functions
    of sums, such as means; many times faster than ``row_weights``. The same seed and groups draw
    the same resamples, whatever the columns, unless few distinct sums make a shortcut possible.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    units = _units(groups, rng)
    summed = [np.bincount(units, column) for column in columns.values()]
    drawn = _drawn_sums(np.stack(summed, axis=1), resamples, rng)
    return dict(zip(columns, drawn.T, strict=True))


def units_of(groups: Array, seed: int | Sequence[int]) -> Array:
    """Return the resampled unit of each row, numbered from 0: its group, or the block of its group.

    Sums by unit stand for the rows in ``intervals`` and ``resampled_sums`` (with the units' numbers
    as groups), so that columns need not be held for all rows at once.
    """
    import numpy as np

    return _units(groups, np.random.default_rng(seed))


def row_weights(groups: Array, resamples: int, seed: int) -> Iterator[Array]:
    """Count how often each row is in each resample of groups, for statistics that need the rows."""
    import numpy as np

    rng = np.random.default_rng(seed)
    names, numbered = np.unique(groups, return_inverse=True)
    for _ in range(resamples):
        yield _counts(len(names), 1, rng)[0, numbered]


def _units(groups: Array, rng: np.random.Generator) -> Array:
    """Return the resampled unit of each row: its group, or the block of its group."""
    import numpy as np

    names, numbered = np.unique(groups, return_inverse=True)
    if len(names) <= MOST_UNITS:
        return np.asarray(numbered)
    block = rng.permutation(len(names)) % MOST_UNITS
    return np.asarray(block[numbered])


def _drawn_sums(by_unit: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Return sums over units drawn with replacement: shape (resamples, columns).

    Units with equal sums are one outcome of a multinomial draw; where there are few outcomes (right
    or wrong), that is the same distribution for a fraction of the work.
    """
    import numpy as np

    units = len(by_unit)
    outcomes, sizes = np.unique(by_unit, axis=0, return_counts=True)
    if len(outcomes) * COST_OF_OUTCOME < units:
        return np.asarray(rng.multinomial(units, sizes / units, size=resamples) @ outcomes)
    step = max(1, CELLS // units)
    parts = [
        _counts(units, min(step, resamples - start), rng) @ by_unit
        for start in range(0, resamples, step)
    ]
    return np.concatenate(parts)


def _counts(units: int, resamples: int, rng: np.random.Generator) -> Array:
    """Count how often each unit is drawn in each resample."""
    import numpy as np

    drawn = rng.integers(0, units, size=(resamples, units))
    drawn += np.arange(resamples)[:, None] * units
    counts = np.bincount(drawn.ravel(), minlength=resamples * units)
    return counts.reshape(resamples, units).astype(np.float64)
