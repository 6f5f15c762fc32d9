"""Audit of reward models: perturb responses, measure effects, search, repair, test again."""

from __future__ import annotations

from rmplug import Estimator, Evaluator, Sampler, hookimpl

from .augmenting import Augment
from .measuring.effects import Effects
from .measuring.retesting import Retest
from .perturbing import Perturb
from .search.finding import FindExploits
from .variants import Variants


@hookimpl
def rmplug_samplers() -> list[type[Sampler]]:
    return [Perturb, Variants, Augment]


@hookimpl
def rmplug_estimators() -> list[type[Estimator]]:
    return [FindExploits]


@hookimpl
def rmplug_evaluators() -> list[type[Evaluator]]:
    return [Effects, Retest]
