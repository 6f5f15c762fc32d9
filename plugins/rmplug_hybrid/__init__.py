"""Choice of the preference pairs for human labels: features, candidates, performance, routes."""

from __future__ import annotations

from rmplug import (
    DatasetLoader,
    Estimator,
    Evaluator,
    FeatureComputer,
    QueryStrategy,
    Reporter,
    Sampler,
    hookimpl,
)
from rmplug.models.hub_code import refuse_hub_code

from .candidates.candidates import Candidates
from .candidates.files import HybridFile, ResultsFile, TrainingFile
from .candidates.relabel import Relabel
from .candidates.swap import Swap
from .membership.as_labelled import AsLabelled
from .membership.membership import Membership
from .performance.performance import PerformanceModel
from .routing.budget_curve import BudgetCurve
from .routing.label_curve import LabelCurve
from .routing.route import Route
from .similarity.bertscore import BertScore
from .similarity.entities import Entities
from .similarity.token_lengths import TokenLengths
from .tags.tagger import Tagger
from .tags.tags import Tags

refuse_hub_code()


@hookimpl
def rmplug_feature_computers() -> list[type[FeatureComputer]]:
    return [BertScore, Entities, TokenLengths, Tags, Membership, ResultsFile, AsLabelled]


@hookimpl
def rmplug_query_strategies() -> list[type[QueryStrategy]]:
    return [Tagger]


@hookimpl
def rmplug_estimators() -> list[type[Estimator]]:
    return [PerformanceModel]


@hookimpl
def rmplug_samplers() -> list[type[Sampler]]:
    return [Candidates, Swap, Relabel, Route]


@hookimpl
def rmplug_evaluators() -> list[type[Evaluator]]:
    return [BudgetCurve, LabelCurve]


@hookimpl
def rmplug_dataset_loaders() -> list[type[DatasetLoader]]:
    return [HybridFile]


@hookimpl
def rmplug_reporters() -> list[type[Reporter]]:
    return [TrainingFile]
