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
from rmplug.models.hub_code import refuse_hub_code

from .assembly.assembling import Assemble
from .assembly.explanations import Attributes, Contributions
from .debias.debiasing import Debias
from .export.embeddings import EmbeddingsFile, WriteEmbeddings
from .export.released import ArmoRM, ExportTransformers
from .gate.gates import Gate
from .heads.attributes import Attribute, MultiObjectiveRidge
from .heads.pair_heads import OdinHead, PairwiseHeads
from .pairs.augmentation import OffTopic, PseudoLabel

refuse_hub_code()

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
