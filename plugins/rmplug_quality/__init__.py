"""Quality of preference data: duplicates, leakage, wrong labels, personal data, annotators."""

from __future__ import annotations

from rmplug import Evaluator, FeatureComputer, hookimpl

from .annotators import Annotators, Consensus
from .audit import Audit
from .duplicates import Duplicates
from .label_noise import LabelNoise
from .leakage import Leakage
from .personal_data import PersonalData


@hookimpl
def rmplug_feature_computers() -> list[type[FeatureComputer]]:
    return [Consensus, Duplicates, Leakage, LabelNoise, PersonalData]


@hookimpl
def rmplug_evaluators() -> list[type[Evaluator]]:
    return [Annotators, Audit]
