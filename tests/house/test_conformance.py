"""Every built-in kind keeps what rmplug promises of a step; most have a test beside their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmplug import Fit
from rmplug._kinds.registry import Provider, discover, missing_libraries
from rmplug.families import Composite
from rmplug.testing import (
    LengthModel,
    check_documentation,
    check_light_import,
    check_step,
    run_step,
    small_features,
    small_pairs,
)
from rmplug.testing.tiny_models import tiny_model

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def built_in() -> list[Provider]:
    registry = discover()
    registry.keep("rmplug")
    return registry.all()


@pytest.mark.parametrize("provider", built_in(), ids=lambda provider: provider.kind)
def test_every_kind_is_documented_and_can_run_here(provider: Provider) -> None:
    check_documentation(provider.cls)
    assert missing_libraries(provider) == ""


def test_every_menu_is_light() -> None:
    check_light_import(*sorted({p.cls.__module__ for p in built_in()}))


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("encoder", {"name": "minilm"}),
        ("causal-lm", {"path": "policy", "reference": "reference"}),
        ("generative-judge", {"path": "policy"}),
        ("reward-head", {"path": str(EXAMPLES / "data" / "minilm-head")}),
    ],
)
def test_loaders_of_models_conform(
    kind: str, params: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("policy", "reference")):
        tiny_model("llama", tmp_path, head="lm", seed=seed).rename(name)
    check_step(discover().find(kind).cls, params, tolerance=1e-4)


def test_an_ensemble_conforms() -> None:
    models = [LengthModel(), LengthModel()]
    for number, model in enumerate(models):
        model.name = f"model-{number}"
    check_step(discover().find("ensemble").cls, {"combine": "minimum"}, {"models": models})


def test_predict_conforms(tmp_path: Path) -> None:
    registry = discover()
    pairs = small_pairs()
    words, margin = small_features(pairs, "words"), small_features(pairs, "reward")
    inputs = {"features": [words], "target": margin.select("margin")}
    ridge = registry.find("sklearn").cls.model_validate({"name": "Ridge", "folds": 2})
    fit = run_step(ridge, inputs, tmp_path)
    assert isinstance(fit, Fit)
    check_step(registry.find("predict").cls, {}, {"fit": fit, "features": [words]})


def test_only_loops_are_made_of_steps() -> None:
    loops = [p.kind for p in built_in() if issubclass(p.cls, Composite)]
    assert loops == ["for-each", "repeat"]
