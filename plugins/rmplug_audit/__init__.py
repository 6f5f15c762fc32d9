"""Audit of reward models: perturb responses, measure effects, search, repair, test again."""

from __future__ import annotations

from rmplug import Sampler, hookimpl

from .augmenting import Augment
from .perturbing import Perturb
from .variants import Variants


@hookimpl
def rmplug_samplers() -> list[type[Sampler]]:
    return [Perturb, Variants, Augment]
