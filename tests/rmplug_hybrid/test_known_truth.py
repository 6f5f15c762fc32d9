"""A small version of benchmarks/hybrid_truth.py: real proxies in a world that is known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

PAIRS, CANDIDATES = 400, 50


@pytest.fixture(scope="module")
def truth() -> ModuleType:
    file = Path(__file__).resolve().parents[2] / "benchmarks/hybrid_truth.py"
    spec = importlib.util.spec_from_file_location("hybrid_truth", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hybrid_truth"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def found(truth: ModuleType) -> dict:
    return truth.one_seed(3, PAIRS, CANDIDATES)


def test_routed_labels_train_better_models_than_random_ones(found):
    for share in ("25 %", "50 %", "75 %"):
        assert found[f"top-k {share}"] > max(found[f"random {share}"]), share
    assert found["top-k 50 %"] > found["all human"] > found["all AI"]


def test_the_performance_model_orders_candidates_better_than_their_size(found, truth):
    own, alone = (truth.spearman(found["fit"], name) for name in ("ridge", "count-only"))
    assert own[1] > alone[2], "the intervals do not overlap"
    row = next(
        n for n in found["fit"].numbers if (n["metric"], n["subset"]) == ("difference", "rmse")
    )
    assert row["high"] < 0 and "better than the number of human labels" in row["sentence"]


def test_weights_say_where_the_ai_is_wrong_and_where_the_human_is(found, truth):
    table = found["fit"].tables["coefficients"].to_pydict()
    weights = np.array(table["coefficient"][1:])
    better = np.array(truth.AI_WRONG) > np.array(truth.HUMAN_WRONG)
    assert weights[better].min() > weights[~better].max()
