"""95 % intervals by bootstrap over groups: rows of one prompt are drawn together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from statistics import NormalDist
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


def weight_blocks(
    groups: npt.NDArray[Any], resamples: int, seed: int | Sequence[int]
) -> Iterator[Floats]:
    """``row_weights`` of many resamples at a time: blocks of shape (resamples, rows)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    names, numbered = np.unique(groups, return_inverse=True)
    step = max(1, CELLS // max(len(numbered), 1))
    for start in range(0, resamples, step):
        yield _counts(len(names), min(step, resamples - start), rng)[:, numbered]


def bounds(draws: Floats, groups: int | None = None) -> tuple[float | None, float | None]:
    """The middle 95 % of the draws in which the statistic exists; none where it never does.

    Draws from few groups vary too little; given their number, the middle is as much wider as a t
    interval with the unbiased variance is than a normal one with the plain variance (the expanded
    percentile interval of Hesterberg, 2015, The American Statistician 69).
    """
    import numpy as np

    known = draws[np.isfinite(draws)]
    if not len(known):
        return None, None
    tail = 0.025 if groups is None else _expanded_tail(groups)
    low, high = np.quantile(known, (tail, 1 - tail))
    return float(low), float(high)


def share_bounds(share: float, draws: Floats, groups: int) -> tuple[float | None, float | None]:
    """A 95 % interval of a share, from its draws: never outside 0 to 1, nor empty at 0 or 1.

    Wilson's interval (1927, JASA 22) with as many observations as would vary like the draws, and a
    t quantile (Korn and Graubard, 1998, Survey Methodology 24); where nothing varies at 0 or 1,
    each group is one observation.
    """
    import numpy as np

    known = draws[np.isfinite(draws)]
    if groups < 2 or not len(known) or not np.isfinite(share):
        return None, None
    variance = float(known.var()) * groups / (groups - 1)
    spread, square = share * (1 - share), _t_quantile(groups - 1) ** 2
    if spread < 1e-12 or variance > 0:
        number = groups if spread < 1e-12 else spread / variance
        middle = (share + square / 2 / number) / (1 + square / number)
        half = np.sqrt(square * (spread / number + square / 4 / number**2)) / (1 + square / number)
        return max(0.0, float(middle - half)), min(1.0, float(middle + half))
    return share, share


def _t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t."""
    exact = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764}
    if freedom in exact:
        return exact[freedom]
    z = 1.959963984540054
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


def _expanded_tail(groups: int) -> float:
    """What to leave out on each side, below 2.5 %."""
    if groups < 2:
        return 0.0
    return NormalDist().cdf(-_t_quantile(groups - 1) * sqrt(groups / (groups - 1)))


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
