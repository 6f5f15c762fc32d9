"""Artifacts: the data that flows between steps."""

from __future__ import annotations

from .folders import Checkpoint, Fit, Folder, Report
from .models import Formats, Opens, Origin, Predictor, RewardModel
from .tables import (
    Artifact,
    Columns,
    Features,
    Identified,
    Metrics,
    Pairs,
    Responses,
    Selection,
    Tabular,
    Value,
    join,
)

__all__ = [
    "Artifact",
    "Checkpoint",
    "Columns",
    "Features",
    "Fit",
    "Folder",
    "Formats",
    "Identified",
    "Metrics",
    "Opens",
    "Origin",
    "Pairs",
    "Predictor",
    "Report",
    "Responses",
    "RewardModel",
    "Selection",
    "Tabular",
    "Value",
    "join",
]
