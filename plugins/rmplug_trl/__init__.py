"""Trainers of reward models and policies, on TRL."""

from __future__ import annotations

from rmplug import Trainer, hookimpl

from .reward_models.average import Average
from .reward_models.reward_model import RewardModelTrainer


@hookimpl
def rmplug_trainers() -> list[type[Trainer]]:
    return [RewardModelTrainer, Average]
