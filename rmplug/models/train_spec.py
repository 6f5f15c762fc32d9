"""The spec of a training from a few words: data, parts, model, trainer, measurement, report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmplug._kinds.registry import Registry
from rmplug.errors import RmplugError

from .starting_model import loading_of

LOADER, TRAINER, HUB = "sequence-classifier", "reward-model", "hub-dataset"
TRAINED = "trained"
"""The step with the model that was trained."""


@dataclass(frozen=True)
class Training:
    """The settings that a user gives of a training; all else is a default of the kinds."""

    model: str
    """A folder, a name on the hub, or `minilm`."""
    data: str
    """A file of pairs, a folder or a pattern of files, or a name on the hub."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """The columns of the data that hold `prompt`, `chosen`, `rejected` and so on."""
    loader: str = "pairs-file"
    """The kind that reads the files."""
    test: float = 0.2
    """The share of prompts that are held out to measure the model."""
    validation: float = 0.1
    """The share of the other prompts that are measured while it is trained; 0 for none."""
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the trainer, and of the loader of the model, by name."""

    def spec(self, registry: Registry, folder: Path) -> dict[str, Any]:
        """Return the spec as a file in ``folder`` would hold it."""
        if not self.data:
            raise RmplugError("data is empty; name a file, or a data set on the hub")
        for name in ("test", "validation"):
            share = getattr(self, name)
            if not (0 < share < 1 or (name == "validation" and share == 0)):
                raise RmplugError(f"{name} is a share between 0 and 1, not {share:g}")
        loading, training = self._params(registry)
        data = self._data(folder)
        parts = _parts(self.test, self.validation)
        learning = {"model": "model", "data": "train"}
        if self.validation:
            learning["validation"] = "validation"
        return {
            "name": f"train-{Path(self.model).name}",
            "seed": self.seed,
            "steps": {
                "pairs": data,
                **parts,
                "model": {"kind": LOADER, "params": _located(loading, folder)},
                TRAINED: _step(TRAINER, learning, training),
                "reward": _step("reward", {"model": TRAINED, "data": "test"}),
                "counts": _step("ngram-head", "train"),
                "ngram": _step("reward", {"model": "counts", "data": "test"}),
                "accuracy": _step("pairwise", {"data": "test", "rewards": ["reward", "ngram"]}),
                "report": _step("html", ["train", "test", TRAINED, "reward", "ngram", "accuracy"]),
            },
        }

    def _data(self, folder: Path) -> dict[str, Any]:
        """Return the step that reads the data."""
        fields = {"fields": dict(self.columns)} if self.columns else {}
        path = Path(self.data)
        on_hub = self.loader == "pairs-file" and not path.exists() and _may_be_on_hub(self.data)
        if on_hub:
            return _step(HUB, None, {"name": self.data, **fields})
        return _step(self.loader, None, _located({"path": self.data, **fields}, folder))

    def _params(self, registry: Registry) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the parameters of loader and trainer; what neither knows is the trainer's, whose
        check names it."""
        trainer = registry.find(TRAINER).cls
        loader = registry.find(LOADER).cls
        loading, training = loading_of(self.model), {}
        for name, value in self.params.items():
            if name in trainer.model_fields or name not in loader.model_fields:
                training[name] = value
            else:
                loading[name] = value
        return loading, training


def _parts(test: float, validation: float) -> dict[str, Any]:
    """Return the steps that cut the data by prompt."""
    first = {"test": test}
    if not validation:
        return {part: _split("pairs", first, part) for part in ("train", "test")}
    second = {"test": validation}
    return {
        "test": _split("pairs", first, "test"),
        "others": _split("pairs", first, "train"),
        "train": _split("others", second, "train"),
        "validation": _split("others", second, "test"),
    }


def _split(data: str, shares: Mapping[str, float], part: str) -> dict[str, Any]:
    return _step("split", data, {**shares, "part": part})


def _step(kind: str, inputs: Any, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    written = {"kind": kind, "inputs": inputs, "params": params}
    return {name: value for name, value in written.items() if value}


def _located(params: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return parameters whose path, written from here, is written from ``folder``."""
    path = params.get("path")
    if path is None or Path(path).is_absolute():
        return dict(params)
    return {**params, "path": os.path.relpath(path, folder)}


def _may_be_on_hub(data: str) -> bool:
    owner, _, name = data.partition("/")
    return bool(owner and name) and "/" not in name and not Path(name).suffix
