"""A weighted sum of numbers, and boosted trees that learnt its errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import _lightgbm_models
from ._learners import Learned
from ._sklearn_models import LinearModel


@dataclass(frozen=True)
class BoostedLine(Learned):
    """The sum of a linear model and of trees, for a number."""

    line: LinearModel
    trees: _lightgbm_models.LightGBMModel

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        return np.asarray(self.line.scores(matrix) + self.trees.scores(matrix))

    def save(self, directory: Path) -> Mapping[str, Any]:
        line, trees = self.line.save(directory), self.trees.save(directory)
        return {"format": "boosted-line", "line": dict(line), "trees": dict(trees)}


def load(directory: Path, saved: Mapping[str, Any]) -> BoostedLine:
    """Load the weights and the trees, which are checked before LightGBM reads them."""
    line = LinearModel.from_json(saved["line"])
    return BoostedLine(line, _lightgbm_models.load(directory, saved["trees"]))
