"""Quality of preference data: duplicates, leakage, wrong labels, personal data, annotators."""

from __future__ import annotations

from rmplug import FeatureComputer, hookimpl

from .duplicates import Duplicates
from .label_noise import LabelNoise
from .leakage import Leakage
from .personal_data import PersonalData


@hookimpl
def rmplug_feature_computers() -> list[type[FeatureComputer]]:
    return [Duplicates, Leakage, LabelNoise, PersonalData]
