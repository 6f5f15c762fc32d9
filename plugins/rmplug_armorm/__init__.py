"""Rewards that explain themselves: attribute heads, debiasing, and a gate over attributes."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug import (
    Estimator,
    Evaluator,
    FeatureComputer,
    ModelLoader,
    QueryStrategy,
    Reporter,
    Sampler,
    Trainer,
    hookimpl,
)

from .attributes import Attribute, Debias, MultiObjectiveRidge
from .augmentation import OffTopic, PseudoLabel
from .embeddings import EmbeddingsFile, WriteEmbeddings
from .explanations import Attributes, Contributions
from .gates import Assemble, Gate
from .pair_heads import OdinHead, PairwiseHeads
from .released import ArmoRM, ExportTransformers

__all__ = [
    "ArmoRM",
    "Assemble",
    "Attribute",
    "Attributes",
    "Contributions",
    "Debias",
    "EmbeddingsFile",
    "ExportTransformers",
    "Gate",
    "MultiObjectiveRidge",
    "OdinHead",
    "OffTopic",
    "PairwiseHeads",
    "PseudoLabel",
    "WriteEmbeddings",
]


@hookimpl
def rmplug_estimators() -> Sequence[type[Estimator]]:
    return [MultiObjectiveRidge, PairwiseHeads, Debias]


@hookimpl
def rmplug_feature_computers() -> Sequence[type[FeatureComputer]]:
    return [EmbeddingsFile]


@hookimpl
def rmplug_reporters() -> Sequence[type[Reporter]]:
    return [WriteEmbeddings, ExportTransformers]


@hookimpl
def rmplug_samplers() -> Sequence[type[Sampler]]:
    return [PseudoLabel, OffTopic]


@hookimpl
def rmplug_trainers() -> Sequence[type[Trainer]]:
    return [OdinHead, Gate, Assemble]


@hookimpl
def rmplug_model_loaders() -> Sequence[type[ModelLoader]]:
    return [ArmoRM]


@hookimpl
def rmplug_query_strategies() -> Sequence[type[QueryStrategy]]:
    return [Contributions]


@hookimpl
def rmplug_evaluators() -> Sequence[type[Evaluator]]:
    return [Attributes]
