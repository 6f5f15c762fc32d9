"""Reward models, encoders, language models and data sets of the Hugging Face libraries."""

from __future__ import annotations

from rmplug import (
    DatasetLoader,
    Estimator,
    Evaluator,
    FeatureComputer,
    ModelLoader,
    QueryStrategy,
    Sampler,
    Trainer,
    hookimpl,
)
from rmplug.models.hub_code import refuse_hub_code

from .data.hub import HubDataset
from .directions.effects import DirectionEffects
from .directions.probing import Probe
from .directions.projecting import Projected, ProjectOut
from .heads.heads import LinearHead, RewardHead
from .loading.combining import CombineRewards
from .loading.encoders import Encoder
from .loading.ensembles import Ensemble, ScoreScales
from .loading.exact_decisions import ExactDecisions
from .loading.loaders import SequenceClassifier
from .loading.normalized import Normalized
from .loading.tokenizers import Tokenizer
from .loading.value_heads import ValueHead
from .parity.parity import Parity
from .queries.judges import GenerativeJudge
from .queries.likelihood import CausalLM, LogProb
from .queries.queries import HiddenState
from .queries.sampling import SampleResponses
from .queries.trajectories import TokenRewards
from .small_models.small_models import SmallModel

refuse_hub_code()


@hookimpl
def rmplug_dataset_loaders() -> list[type[DatasetLoader]]:
    return [HubDataset]


@hookimpl
def rmplug_model_loaders() -> list[type[ModelLoader]]:
    return [
        *(SequenceClassifier, CausalLM, GenerativeJudge, Encoder),
        *(ValueHead, RewardHead, Ensemble, Normalized, ExactDecisions, Projected, Tokenizer),
    ]


@hookimpl
def rmplug_query_strategies() -> list[type[QueryStrategy]]:
    return [HiddenState, LogProb, TokenRewards]


@hookimpl
def rmplug_estimators() -> list[type[Estimator]]:
    return [ScoreScales, Probe]


@hookimpl
def rmplug_feature_computers() -> list[type[FeatureComputer]]:
    return [CombineRewards]


@hookimpl
def rmplug_trainers() -> list[type[Trainer]]:
    return [LinearHead, SmallModel, ProjectOut]


@hookimpl
def rmplug_samplers() -> list[type[Sampler]]:
    return [SampleResponses]


@hookimpl
def rmplug_evaluators() -> list[type[Evaluator]]:
    return [DirectionEffects, Parity]
