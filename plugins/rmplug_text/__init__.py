"""Loaders of texts and recorded scores, lexical features, and sampling of rows."""

from __future__ import annotations

from rmplug import (
    DatasetLoader,
    FeatureComputer,
    ModelLoader,
    QueryStrategy,
    Reporter,
    Sampler,
    hookimpl,
)

from .custom import Custom
from .features import Bins, Lexical, PerResponse, Rouge
from .labelling import Diverse, LabelsFile, LabelSheet, Uncertain
from .loaders import ABFile, PairsFile, ResponsesFile, Synthetic
from .queries import Reward
from .recorded import Recorded
from .samplers import Balanced, Filter, Random, Split, Stratified, ToPairs, ToResponses


@hookimpl
def rmplug_dataset_loaders() -> list[type[DatasetLoader]]:
    return [PairsFile, ResponsesFile, ABFile, Synthetic]


@hookimpl
def rmplug_model_loaders() -> list[type[ModelLoader]]:
    return [Recorded, Custom]


@hookimpl
def rmplug_query_strategies() -> list[type[QueryStrategy]]:
    return [Reward]


@hookimpl
def rmplug_feature_computers() -> list[type[FeatureComputer]]:
    return [Lexical, Rouge, Bins, PerResponse]


@hookimpl
def rmplug_samplers() -> list[type[Sampler]]:
    return [
        *(Random, Stratified, Balanced, Filter, Split, ToPairs, ToResponses),
        *(Uncertain, Diverse, LabelsFile),
    ]


@hookimpl
def rmplug_reporters() -> list[type[Reporter]]:
    return [LabelSheet]
