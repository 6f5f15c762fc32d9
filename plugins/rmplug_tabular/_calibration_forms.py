"""The forms of a calibration: odd, growing functions of a margin that give log-odds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression

from rmplug.arrays import Array

STEEPEST = 1e4
"""The greatest slope, and the greatest temperature, in units of the margins' root mean square."""


class CalibrationForm(Protocol):
    """A fitted function from margins to calibrated margins (log-odds), both of shape (rows,)."""

    def margins(self, margin: Array) -> Array: ...

    def as_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Slope:
    """Log-odds in proportion to the margin."""

    slope: float

    def margins(self, margin: Array) -> Array:
        return np.asarray(self.slope * margin)

    def as_json(self) -> dict[str, Any]:
        return {"slope": self.slope}


@dataclass(frozen=True)
class Growing:
    """Probabilities between the points of a growing function of the margin's size, constant beyond
    the last; the sign of the margin decides the side."""

    sizes: Array
    """Sizes of margins from 0 on, growing, shape (points,)."""
    probabilities: Array
    """One half at 0, growing, below 1."""

    def margins(self, margin: Array) -> Array:
        p = np.interp(np.abs(margin), self.sizes, self.probabilities)
        # NumPy's interp takes a margin that is NaN to NaN
        return np.asarray(np.sign(margin) * (np.log(p) - np.log1p(-p)))

    def as_json(self) -> dict[str, Any]:
        return {"sizes": self.sizes.tolist(), "probabilities": self.probabilities.tolist()}


def fit_platt(margin: Array) -> Slope:
    """Fit a slope of either sign to targets that are a little less than sure."""
    return Slope(_likeliest_slope(margin, target_of(margin), -STEEPEST))


def fit_temperature(margin: Array) -> Slope:
    """Fit a slope above 0: one over the temperature."""
    return Slope(_likeliest_slope(margin, 1.0, 1 / STEEPEST))


def fit_isotonic(margin: Array) -> Growing:
    """Fit a growing function to both orders of each pair, which makes it symmetric."""
    target = target_of(margin)
    both = np.concatenate([margin, -margin])
    right = np.repeat([target, 1 - target], len(margin))
    model = IsotonicRegression(out_of_bounds="clip").fit(both, right)
    above = model.X_thresholds_ > 0
    sizes = np.concatenate([[0.0], model.X_thresholds_[above]])
    # sums of floats may leave the two halves apart in the last digit
    probabilities = np.concatenate([[0.5], np.maximum(model.y_thresholds_[above], 0.5)])
    return Growing(sizes, np.maximum.accumulate(probabilities))


FITS: Mapping[str, Callable[[Array], CalibrationForm]] = {
    "platt": fit_platt,
    "temperature": fit_temperature,
    "isotonic": fit_isotonic,
}


def target_of(margin: Array) -> float:
    """Return Platt's target: one right pair more, of two more."""
    return (len(margin) + 1) / (len(margin) + 2)


def _likeliest_slope(margin: Array, target: float, least: float) -> float:
    """Solve for the slope at which the gradient of the mean log-loss is 0, within bounds."""
    unit = float(np.sqrt(np.mean(margin**2)))
    if not unit > 0:
        return 1.0
    scaled = margin / unit

    def gradient(slope: float) -> float:
        return float(np.mean(scaled * (logistic(slope * scaled) - target)))

    if gradient(least) >= 0:
        return least / unit
    if gradient(STEEPEST) <= 0:
        return STEEPEST / unit
    return float(brentq(gradient, least, STEEPEST, xtol=1e-12, rtol=1e-12)) / unit


def logistic(x: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))
