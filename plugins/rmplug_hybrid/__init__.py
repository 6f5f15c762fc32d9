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

from .candidates.candidates import Candidates, HybridFile, Relabel, ResultsFile, Swap, TrainingFile
from .features.membership import Membership
from .features.similarity import BertScore, Entities, TokenLengths
from .features.tags import Endpoint, Tagger, Tags
from .features.turning import AsLabelled
from .performance.performance import PerformanceModel
from .routing.routing import BudgetCurve, Route


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
