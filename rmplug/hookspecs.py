"""The hooks that extend rmplug. A plugin implements the hooks it needs, each returning a list of
step classes, and registers its module under the entry-point group ``rmplug``."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from .families import (
    Composite,
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
)

hookspec = pluggy.HookspecMarker("rmplug")
hookimpl = pluggy.HookimplMarker("rmplug")


@hookspec
def rmplug_model_loaders() -> Sequence[type[ModelLoader]]:  # type: ignore[empty-body]
    """Return kinds that load a reward model."""


@hookspec
def rmplug_dataset_loaders() -> Sequence[type[DatasetLoader]]:  # type: ignore[empty-body]
    """Return kinds that load pairs or responses."""


@hookspec
def rmplug_query_strategies() -> Sequence[type[QueryStrategy]]:  # type: ignore[empty-body]
    """Return kinds that ask a reward model."""


@hookspec
def rmplug_feature_computers() -> Sequence[type[FeatureComputer]]:  # type: ignore[empty-body]
    """Return kinds that compute numbers about data."""


@hookspec
def rmplug_estimators() -> Sequence[type[Estimator]]:  # type: ignore[empty-body]
    """Return kinds that explain or correct a reward."""


@hookspec
def rmplug_samplers() -> Sequence[type[Sampler]]:  # type: ignore[empty-body]
    """Return kinds that choose, split or convert rows."""


@hookspec
def rmplug_trainers() -> Sequence[type[Trainer]]:  # type: ignore[empty-body]
    """Return kinds that train a reward model."""


@hookspec
def rmplug_evaluators() -> Sequence[type[Evaluator]]:  # type: ignore[empty-body]
    """Return kinds that measure."""


@hookspec
def rmplug_reporters() -> Sequence[type[Reporter]]:  # type: ignore[empty-body]
    """Return kinds that show results."""


@hookspec
def rmplug_engines() -> Sequence[type[Engine]]:  # type: ignore[empty-body]
    """Return kinds that run row-wise work and the items of loops."""


@hookspec
def rmplug_observers() -> Sequence[type[Observer]]:  # type: ignore[empty-body]
    """Return kinds that watch a run."""


@hookspec
def rmplug_composites() -> Sequence[type[Composite]]:  # type: ignore[empty-body]
    """Return kinds made of steps: ``for-each`` and ``repeat``, or a subclass of one of them."""
