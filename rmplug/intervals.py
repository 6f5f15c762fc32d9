"""95 % intervals by bootstrap over groups: rows of one prompt are drawn together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]

CELLS = 100_000
"""Draws at a time: small enough to stay in the cache."""
COST_OF_OUTCOME = 10
"""One outcome of a multinomial draw costs about as much as this many drawn groups."""


def resampled_sums(
    columns: Mapping[str, npt.NDArray[Any]],
    groups: npt.NDArray[Any],
    resamples: int,
    seed: int | Sequence[int],
) -> dict[str, Floats]:
    """The sum of each column over the rows of each resample of groups: one number per resample.

    ``columns`` have a number, ``groups`` the group of each row. For statistics that are functions
    of sums, such as means; many times faster than ``row_weights``.
    """
    import numpy as np

    _, numbered = np.unique(groups, return_inverse=True)
    summed = [np.bincount(numbered, column) for column in columns.values()]
    drawn = _drawn_sums(np.stack(summed, axis=1), resamples, np.random.default_rng(seed))
    return dict(zip(columns, drawn.T, strict=True))


def row_weights(groups: npt.NDArray[Any], resamples: int, seed: int) -> Iterator[Floats]:
    """How often each row is in each resample of groups, for statistics that need the rows."""
    import numpy as np

    rng = np.random.default_rng(seed)
    names, numbered = np.unique(groups, return_inverse=True)
    for _ in range(resamples):
        yield _counts(len(names), 1, rng)[0, numbered]


def bounds(draws: Floats) -> tuple[float | None, float | None]:
    """The middle 95 % of the draws in which the statistic exists; none where it never does."""
    import numpy as np

    known = draws[np.isfinite(draws)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)


def _drawn_sums(by_group: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Sums over groups drawn with replacement: shape (resamples, columns).

    Groups with equal sums are one outcome of a multinomial draw; where there are few outcomes
    (right or wrong), that is the same distribution for a fraction of the work.
    """
    import numpy as np

    groups = len(by_group)
    outcomes, sizes = np.unique(by_group, axis=0, return_counts=True)
    if len(outcomes) * COST_OF_OUTCOME < groups:
        return rng.multinomial(groups, sizes / groups, size=resamples) @ outcomes
    step = max(1, CELLS // groups)
    parts = [
        _counts(groups, min(step, resamples - start), rng) @ by_group
        for start in range(0, resamples, step)
    ]
    return np.concatenate(parts)


def _counts(groups: int, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each group is drawn in each resample."""
    import numpy as np

    drawn = rng.integers(0, groups, size=(resamples, groups))
    drawn += np.arange(resamples)[:, None] * groups
    counts = np.bincount(drawn.ravel(), minlength=resamples * groups)
    return counts.reshape(resamples, groups).astype(np.float64)
