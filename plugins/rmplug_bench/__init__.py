"""Benchmarks and statistics of reward models (numpy and pyarrow)."""

from __future__ import annotations

from rmplug import DatasetLoader, Evaluator, hookimpl

from .comparison.comparisons import Agreement, BestOfN, Compare
from .layouts.published import BENCHMARKS
from .rules.benchmarks import Benchmark
from .statistics.pairwise import Pairwise

__all__ = ["BENCHMARKS", "Agreement", "Benchmark", "BestOfN", "Compare", "Pairwise"]


@hookimpl
def rmplug_evaluators() -> list[type[Evaluator]]:
    return [Pairwise, Benchmark, Compare, BestOfN, Agreement]


@hookimpl
def rmplug_dataset_loaders() -> list[type[DatasetLoader]]:
    return list(BENCHMARKS)
