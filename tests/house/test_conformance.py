"""Every built-in kind keeps what rmplug promises of a step; most have a test beside their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmplug import Fit
from rmplug._kinds.registry import Provider, discover, missing_libraries
from rmplug.families import Composite
from rmplug.testing import (
    check_documentation,
    check_light_import,
    check_step,
    run_step,
    small_features,
    small_pairs,
)

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
        ("causal-lm", {"name": "owner/policy", "reference_name": "owner/reference"}),
        ("generative-judge", {"name": "owner/judge"}),
        ("ensemble", {"combine": "minimum"}),
        ("reward-head", {"path": str(EXAMPLES / "data" / "minilm-head")}),
    ],
)
def test_loaders_of_models_conform(kind: str, params: dict[str, object]) -> None:
    check_step(discover().find(kind).cls, params)


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
