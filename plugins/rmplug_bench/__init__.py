"""Benchmarks and statistics of reward models (numpy and pyarrow)."""

from __future__ import annotations

from rmplug import DatasetLoader, Evaluator, hookimpl

from .benchmarks import Benchmark
from .comparisons import Agreement, BestOfN, Compare
from .layouts import LAYOUTS
from .pairwise import Pairwise

__all__ = ["LAYOUTS", "Agreement", "Benchmark", "BestOfN", "Compare", "Pairwise"]


@hookimpl
def rmplug_evaluators() -> list[type[Evaluator]]:
    return [Pairwise, Benchmark, Compare, BestOfN, Agreement]


@hookimpl
def rmplug_dataset_loaders() -> list[type[DatasetLoader]]:
    return list(LAYOUTS)
