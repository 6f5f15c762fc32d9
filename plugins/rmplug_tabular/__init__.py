"""Estimators of scikit-learn and LightGBM, explanations, calibration, a reward model of n-grams."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug import Estimator, FeatureComputer, Trainer, hookimpl

from .calibrating import Calibrated, Calibration
from .estimators import LightGBM, Sklearn
from .explain.explaining import Explain
from .features import Predict
from .trainers import NgramHead

__all__ = ["Calibrated", "Calibration", "Explain", "LightGBM", "NgramHead", "Predict", "Sklearn"]


@hookimpl
def rmplug_estimators() -> Sequence[type[Estimator]]:
    return [Sklearn, LightGBM, Explain, Calibration]


@hookimpl
def rmplug_feature_computers() -> Sequence[type[FeatureComputer]]:
    return [Predict]


@hookimpl
def rmplug_trainers() -> Sequence[type[Trainer]]:
    return [NgramHead, Calibrated]
