"""Trainers of reward models and policies, on TRL."""

from __future__ import annotations

from rmplug import ModelLoader, Trainer, hookimpl
from rmplug.models.hub_code import refuse_hub_code

from .policies.implicit import ImplicitReward
from .policies.online import OnlineDpo
from .policies.preference import Dpo
from .policies.reinforcement import Grpo, Rloo
from .reward_models.average import Average
from .reward_models.reward_model import RewardModelTrainer

refuse_hub_code()


@hookimpl
def rmplug_trainers() -> list[type[Trainer]]:
    return [RewardModelTrainer, Average, Dpo, Grpo, Rloo, OnlineDpo]


@hookimpl
def rmplug_model_loaders() -> list[type[ModelLoader]]:
    return [ImplicitReward]
