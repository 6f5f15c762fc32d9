"""Reward models and data sets of the Hugging Face libraries: load, ask, train a head."""

from __future__ import annotations

from rmplug import DatasetLoader, ModelLoader, QueryStrategy, Trainer, hookimpl

from .encoders import Encoder
from .ensembles import Ensemble
from .heads import LinearHead, RewardHead
from .hub import HubDataset
from .judges import GenerativeJudge
from .likelihood import CausalLM, LogProb
from .loaders import SequenceClassifier
from .queries import HiddenState


@hookimpl
def rmplug_dataset_loaders() -> list[type[DatasetLoader]]:
    return [HubDataset]


@hookimpl
def rmplug_model_loaders() -> list[type[ModelLoader]]:
    return [SequenceClassifier, CausalLM, GenerativeJudge, Encoder, RewardHead, Ensemble]


@hookimpl
def rmplug_query_strategies() -> list[type[QueryStrategy]]:
    return [HiddenState, LogProb]


@hookimpl
def rmplug_trainers() -> list[type[Trainer]]:
    return [LinearHead]
