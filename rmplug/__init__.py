"""One spec file from preferences to a reward model that is explained, evaluated and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .artifacts import (
    Artifact,
    Checkpoint,
    Features,
    Fit,
    Folder,
    Identified,
    Metrics,
    Origin,
    Pairs,
    Predictor,
    Report,
    Responses,
    RewardModel,
    Selection,
    Tabular,
    Value,
    join,
)
from .data.messages import text_of
from .errors import (
    DataError,
    PluginError,
    RmplugError,
    SpecError,
    StepError,
    StoreError,
)
from .families import (
    AwaitedPaths,
    DatasetLoader,
    Engine,
    Estimator,
    Evaluator,
    FeatureComputer,
    InputPath,
    InputPaths,
    ModelLoader,
    Names,
    Observer,
    OneOrMore,
    PlanStep,
    PlanView,
    Progress,
    QueryStrategy,
    Reporter,
    Sampler,
    Trainer,
)
from .hookspecs import hookimpl
from .known import Known
from .notices import Notice, notice

if TYPE_CHECKING:
    from ._run.finished import Run, RunList, open_run, runs
    from ._run.run import run
    from ._spec.problems_of import check
    from .models.reopen import open_folder, reopen
    from .models.reward_function import RewardFunction, reward_function
    from .models.scorer import Comparison, Ranked, Scorer, load
    from .models.trained import Trained, train

__all__ = [
    "Artifact",
    "AwaitedPaths",
    "Checkpoint",
    "Comparison",
    "DataError",
    "DatasetLoader",
    "Engine",
    "Estimator",
    "Evaluator",
    "FeatureComputer",
    "Features",
    "Fit",
    "Folder",
    "Identified",
    "InputPath",
    "InputPaths",
    "Known",
    "Metrics",
    "ModelLoader",
    "Names",
    "Notice",
    "Observer",
    "OneOrMore",
    "Origin",
    "Pairs",
    "PlanStep",
    "PlanView",
    "PluginError",
    "Predictor",
    "Progress",
    "QueryStrategy",
    "Ranked",
    "Report",
    "Reporter",
    "Responses",
    "RewardFunction",
    "RewardModel",
    "RmplugError",
    "Run",
    "RunList",
    "Sampler",
    "Scorer",
    "Selection",
    "SpecError",
    "StepError",
    "StoreError",
    "Tabular",
    "Trained",
    "Trainer",
    "Value",
    "check",
    "hookimpl",
    "join",
    "load",
    "notice",
    "open_folder",
    "open_run",
    "reopen",
    "reward_function",
    "run",
    "runs",
    "text_of",
    "train",
]

_LATER = {
    "open_folder": "models.reopen",
    "reopen": "models.reopen",
    "RewardFunction": "models.reward_function",
    "reward_function": "models.reward_function",
    "Run": "_run.finished",
    "RunList": "_run.finished",
    "open_run": "_run.finished",
    "runs": "_run.finished",
    "run": "_run.run",
    "check": "_spec.problems_of",
    "Comparison": "models.scorer",
    "Ranked": "models.scorer",
    "Scorer": "models.scorer",
    "load": "models.scorer",
    "Trained": "models.trained",
    "train": "models.trained",
}


def __getattr__(name: str) -> Any:
    """Import a name on first use, where only a run or a loaded model needs it."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, those too that are imported on first use."""
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "annotations"})
