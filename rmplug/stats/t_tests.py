"""Student's t test of a number with a standard error: p, and the power to find an effect.

``scipy.stats`` has the same, and takes longer to import than most tests take.
"""

from __future__ import annotations

from math import atan, erfc, inf, isfinite, log1p, pi, sqrt
from statistics import NormalDist

NORMAL = NormalDist()
SMALLEST = 1e-300
"""Smaller chances are counted as this one."""


def t_p_value(t: float, freedom: float) -> float:
    """Compute the chance of a ``t`` as far from 0 as this, on both sides (Hill, 1970, Algorithm
    395, Communications of the ACM 13; exact for 1 to 4 degrees of freedom). NaN of NaN."""
    if t != t or not freedom > 0:
        return float("nan")
    t = abs(t)
    if not isfinite(t):
        return SMALLEST
    if freedom in EXACT:
        return max(EXACT[int(freedom)](t), SMALLEST)
    a = freedom - 0.5
    b = 48 * a * a
    square = a * log1p(t * t / freedom)
    root = sqrt(square)
    correction = ((-0.4 * square - 3.3) * square - 24) * square - 85.5
    correction /= 0.8 * square * square + 100 + b
    z = root * ((correction + square + 3) / b + 1)
    return max(erfc(z / sqrt(2)), SMALLEST)


def _of_one(t: float) -> float:
    return 2 * atan(1 / t) / pi if t else 1.0


def _of_two(t: float) -> float:
    root = sqrt(2 + t * t)
    return 2 / (root * (root + t))


def _of_three(t: float) -> float:
    x = t / sqrt(3)
    return max(2 * (atan(1 / x) - x / (1 + x * x)) / pi, 0.0) if t else 1.0


def _of_four(t: float) -> float:
    cosine = 4 / (4 + t * t)
    return max(1 - sqrt(1 - cosine) * (1 + cosine / 2), 0.0)


EXACT = {1: _of_one, 2: _of_two, 3: _of_three, 4: _of_four}


def t_critical(level: float, freedom: float) -> float:
    """Return the ``t`` whose two-sided p is ``level``; infinite for a level of 0."""
    if not 0 < level < 1:
        return inf if level <= 0 else 0.0
    low, high = 0.0, 2.0
    while t_p_value(high, freedom) > level and high < 1e12:
        low, high = high, 4 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_p_value(middle, freedom) > level else (low, middle)
    return (low + high) / 2


def t_power(shift: float, level: float, freedom: float) -> float:
    """Compute the chance that an effect of ``shift`` standard errors is found at ``level`` on
    either side, by the normal approximation of the non-central t (Johnson and Welch, 1940,
    Biometrika 31): within .03 from 4 degrees of freedom on, far too high for 1 or 2 (.30 instead of
    .07 for one standard error at .05)."""
    critical = t_critical(level, freedom)
    if not isfinite(critical) or shift != shift:
        return 0.0 if shift == shift else float("nan")
    if not isfinite(shift):
        return 1.0
    below, spread = critical * (1 - 1 / (4 * freedom)), sqrt(1 + critical**2 / (2 * freedom))
    return NORMAL.cdf((abs(shift) - below) / spread) + NORMAL.cdf((-abs(shift) - below) / spread)


def t_detectable(power: float, level: float, freedom: float) -> float:
    """Return the effect, in standard errors, that is found with this power: the inverse of
    ``t_power``, for powers far above ``level``."""
    critical = t_critical(level, freedom)
    spread = sqrt(1 + critical**2 / (2 * freedom)) if isfinite(critical) else 1.0
    return critical * (1 - 1 / (4 * freedom)) + NORMAL.inv_cdf(power) * spread
