"""Which preference pairs deserve a human label: features, candidates, performance, routes."""

from __future__ import annotations

from rmplug import (
    DatasetLoader,
    Estimator,
    Evaluator,
    FeatureComputer,
    ModelLoader,
    QueryStrategy,
    Reporter,
    Sampler,
    hookimpl,
)

from .candidates import Candidates, HybridFile, Relabel, ResultsFile, Swap, TrainingFile
from .membership import Membership
from .performance import PerformanceModel
from .routing import BudgetCurve, Route
from .similarity import BertScore, Entities, TokenLengths
from .tags import Endpoint, Tagger, Tags
from .turning import AsLabelled


@hookimpl
def rmplug_feature_computers() -> list[type[FeatureComputer]]:
    return [BertScore, Entities, TokenLengths, Tags, Membership, ResultsFile, AsLabelled]


@hookimpl
def rmplug_query_strategies() -> list[type[QueryStrategy]]:
    return [Tagger]


@hookimpl
def rmplug_model_loaders() -> list[type[ModelLoader]]:
    return [Endpoint]


@hookimpl
def rmplug_estimators() -> list[type[Estimator]]:
    return [PerformanceModel]


@hookimpl
def rmplug_samplers() -> list[type[Sampler]]:
    return [Candidates, Swap, Relabel, Route]


@hookimpl
def rmplug_evaluators() -> list[type[Evaluator]]:
    return [BudgetCurve]


@hookimpl
def rmplug_dataset_loaders() -> list[type[DatasetLoader]]:
    return [HybridFile]


@hookimpl
def rmplug_reporters() -> list[type[Reporter]]:
    return [TrainingFile]
