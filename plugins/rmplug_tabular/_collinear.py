"""Features that are exactly a sum of others: not identifiable in linear fits, so left out.

A linear model shares an effect out among collinear features by chance or by its penalty, so that
none of them shows it: chosen, rejected, and chosen minus rejected; a sum and its parts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rmplug import notice

from ._explanations import rows_at_random
from ._feature_matrix import Examples

MOST_ROWS = 20_000
SAME = 1e-8
"""The share of a feature's size that may be left over where others add up to it."""
MOST_NAMED = 4


def without_sums(examples: Examples, seed: int) -> Examples:
    """Drop the features that are sums of kept ones, and name them in a notice.

    Of collinear features those stay that correlate most with the target, so that an effect of one
    of them is seen where it is; all that a linear model can predict stays the same. Vectors are
    left as they are, and so are features that are as many as the rows.
    """
    blocks = [(at, block) for at, (_, block) in enumerate(examples.blocks())]
    numbers = [at for at, _ in blocks if not examples.columns[at].vector]
    values = examples.matrix[:, [blocks[at][1].start for at in numbers]]
    rows = np.flatnonzero(~np.isnan(values).any(axis=1))
    rows = rows_at_random(rows, MOST_ROWS, np.random.default_rng(seed))
    if len(rows) <= len(numbers) + 1:
        return examples
    made = sums_of_others(values[rows], examples.target[rows])
    if not made:
        return examples
    names = [examples.columns[at].name for at in numbers]
    formulas = [f"{names[i]} = {_formula(parts, names)}" for i, parts in sorted(made.items())]
    notice("feature that others add up to", formulas, "dropped", of="features")
    left_out = {numbers[i] for i in made}
    kept = [(at, block) for at, block in blocks if at not in left_out]
    return replace(
        examples,
        columns=tuple(examples.columns[at] for at, _ in kept),
        matrix=np.hstack([examples.matrix[:, block] for _, block in kept]),
    )


def sums_of_others(values: np.ndarray, target: np.ndarray) -> dict[int, dict[int, float]]:
    """Return the columns that are, but for a constant, a sum of others that are kept, with the
    factor of each of these; by Gram and Schmidt's method, the most correlated with the target
    first, of equal ones the last (a sum comes after its parts)."""
    centred = values - values.mean(axis=0)
    sizes = np.linalg.norm(centred, axis=0)
    scaled = centred / np.where(sizes > 0, sizes, 1.0)
    apart = target - target.mean()
    strength = np.abs(scaled.T @ apart) / max(float(np.linalg.norm(apart)), 1e-300)
    kept: list[int] = []
    basis = np.empty((len(values), 0))
    made: dict[int, dict[int, float]] = {}
    last_first = -np.arange(len(strength))
    for column in np.lexsort([last_first, -np.round(strength, 9)]).tolist():
        if sizes[column] <= SAME * max(1.0, float(np.abs(values[:, column]).max())):
            continue
        rest = scaled[:, column]
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        left = float(np.linalg.norm(rest))
        if left > SAME:
            kept.append(column)
            basis = np.column_stack([basis, rest / left])
        else:
            factors = np.linalg.lstsq(centred[:, kept], centred[:, column], rcond=None)[0]
            counted = np.abs(factors) * sizes[kept] > 1e-6 * sizes[column]
            made[column] = {kept[i]: float(factors[i]) for i in np.flatnonzero(counted)}
    return made


def _formula(parts: dict[int, float], names: list[str]) -> str:
    """Write the sum as ``2 * words.a - words.b``, its first few terms."""
    terms = [_term(factor, names[k]) for k, factor in sorted(parts.items())]
    more = f" and {len(terms) - MOST_NAMED} more" if len(terms) > MOST_NAMED else ""
    return " ".join(terms[:MOST_NAMED]).removeprefix("+ ") + more


def _term(factor: float, name: str) -> str:
    size = "" if abs(abs(factor) - 1) < 1e-6 else f"{abs(factor):.3g} * "
    return f"{'-' if factor < 0 else '+'} {size}{name}"
