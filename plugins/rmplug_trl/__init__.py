"""Trainers of reward models and policies, on TRL."""

from __future__ import annotations

from rmplug import Trainer, hookimpl


@hookimpl
def rmplug_trainers() -> list[type[Trainer]]:
    return []
