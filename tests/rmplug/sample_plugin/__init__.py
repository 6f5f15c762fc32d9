"""The plugin of the core's own tests: kinds to check, and kinds to run."""

from __future__ import annotations

from rmplug import (
    DatasetLoader,
    Engine,
    Estimator,
    Evaluator,
    FeatureComputer,
    ModelLoader,
    Observer,
    QueryStrategy,
    Reporter,
    Sampler,
    Trainer,
    hookimpl,
)

from .declared import (
    Bare,
    Count,
    Either,
    Far,
    LengthLoader,
    PairsLoader,
    Pick,
    Plain,
    ResponsesLoader,
    Shuffle,
    Teach,
    Watch,
)
from .remembering import RememberingModel
from .working import (
    Ask,
    Broken,
    CharacterHead,
    CharacterModel,
    Fussy,
    Later,
    Lengths,
    Line,
    Listener,
    MadePairs,
    Mean,
    Page,
    Predict,
    Rank,
)


@hookimpl
def rmplug_dataset_loaders() -> list[type[DatasetLoader]]:
    return [PairsLoader, ResponsesLoader, MadePairs]


@hookimpl
def rmplug_model_loaders() -> list[type[ModelLoader]]:
    return [LengthLoader, CharacterModel, RememberingModel]


@hookimpl
def rmplug_query_strategies() -> list[type[QueryStrategy]]:
    return [Ask]


@hookimpl
def rmplug_feature_computers() -> list[type[FeatureComputer]]:
    return [Count, Lengths, Rank, Predict, Fussy]


@hookimpl
def rmplug_estimators() -> list[type[Estimator]]:
    return [Line]


@hookimpl
def rmplug_samplers() -> list[type[Sampler]]:
    return [Shuffle, Pick, Either, Later]


@hookimpl
def rmplug_trainers() -> list[type[Trainer]]:
    return [Teach, Far, Bare, CharacterHead]


@hookimpl
def rmplug_evaluators() -> list[type[Evaluator]]:
    return [Mean]


@hookimpl
def rmplug_reporters() -> list[type[Reporter]]:
    return [Page]


@hookimpl
def rmplug_engines() -> list[type[Engine]]:
    return [Plain]


@hookimpl
def rmplug_observers() -> list[type[Observer]]:
    return [Watch, Listener, Broken]
