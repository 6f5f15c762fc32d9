"""The recipes of training run from start to end, on few rows and for few steps."""

from __future__ import annotations

from pathlib import Path

import rmplug
from rmplug import Metrics

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FEW_ROWS = "steps.pairs.params.limit=90"
SMALL = "{kind: small-model, inputs: pairs, params: {architecture: bert, hidden_size: 16}}"
"""In the place of MiniLM, where the recipe trains it more than once."""


def ran(recipe: str, store: Path, *assign: str, only: tuple[str, ...] = ()) -> rmplug.Run:
    return rmplug.run(EXAMPLES / f"{recipe}.yaml", assign=assign, only=only, store=store)


def shorter(*trainers: str) -> tuple[str, ...]:
    return tuple(f"steps.{name}.params.max_steps=2" for name in trainers)


def accuracy_of(run: rmplug.Run, step: str) -> dict[str, float]:
    """Return the accuracy on all pairs of each reward and rule that a step has measured."""
    measured = run[step]
    assert isinstance(measured, Metrics)
    frame = measured.to_pandas()
    whole = frame[(frame["metric"] == "accuracy") & (frame["subset"] == "all")]
    return dict(zip(whole["model"], whole["value"], strict=True))


def test_train_reward_ends_in_a_report_and_a_card_beside_baselines(tmp_path: Path) -> None:
    few = ("steps.model.params.max_length=32", "steps.trained.params.eval_steps=1")
    run = ran("train-reward", tmp_path, FEW_ROWS, *few, *shorter("trained"))
    assert {"reward", "ngram", "longer"} <= set(accuracy_of(run, "accuracy"))
    page, card = (path.read_text(encoding="utf-8") for path in run.reports)
    assert "Training curves" in page
    assert "## Evaluation of reward" in card
    seen = run.record.steps["accuracy"].seen["reward"]
    assert seen.seen == 0 and seen.rows > 20
    assert "temperature" in {row["metric"] for row in run["calibrated"].numbers}  # type: ignore[attr-defined]


def test_the_tutorial_measures_its_win_rate_and_what_counts(tmp_path: Path) -> None:
    few = ("steps.pairs.params.size=100", "steps.trained.params.eval_steps=2")
    run = ran("tutorial-lora", tmp_path, *few, *shorter("trained"))
    seen = {
        step: run.record.steps[step].seen[reward].seen
        for step, reward in (
            ("win-rate-of-ten-training-pairs", "of-ten"),
            ("held-out-accuracy", "reward"),
        )
    }
    assert seen == {"win-rate-of-ten-training-pairs": 10, "held-out-accuracy": 0}
    assert 0 <= accuracy_of(run, "held-out-accuracy")["reward"] <= 1
    [page] = run.reports
    assert "figures on these rows say nothing of new ones" in page.read_text(encoding="utf-8")


def test_the_second_stage_begins_with_the_model_of_the_first(tmp_path: Path) -> None:
    few = (f"steps.model={SMALL}", *shorter("first", "second", "at-once"))
    run = ran("train-stages", tmp_path, *few, only=("staged", "in-one-go", "averaged"))
    taken, made = (run.record.steps[name] for name in ("second", "first"))
    assert made.artifact in taken.inputs["model"]


def test_a_member_of_the_ensemble_is_not_trained_again_in_the_loop(tmp_path: Path) -> None:
    few = (f"steps.model={SMALL}", "steps.seeds.params.steps.one.params.max_steps=2")
    few += ("steps.seeds.params.collect=[reward]", *shorter("a", "b", "c"))
    only = ("by-mean", "by-cautious", "doubtful", "seeds")
    run = ran("train-ensemble", tmp_path, FEW_ROWS, *few, only=only)
    mean, cautious = (run[name].table["margin"] for name in ("by-mean", "by-cautious"))  # type: ignore[attr-defined]
    assert mean != cautious
    assert len(list((tmp_path / "artifacts").glob("reward-model-*"))) == 3


def test_ratings_lists_and_ties_are_learnt_from(tmp_path: Path) -> None:
    names = "params: {outputs: [helpfulness, correctness, clarity, style], "
    several = SMALL.replace("params: {", names)
    few = (f"steps.one={SMALL}", f"steps.several={several}", "steps.comparisons.params.limit=90")
    few += shorter("regression", "pairwise-model", "plackett-luce", "davidson")
    rewards = ("by-regression", "by-pairs", "by-lists", "by-ties")
    run = ran("train-ratings", tmp_path, *few, only=rewards)
    columns = [set(run[name].columns) for name in rewards]  # type: ignore[attr-defined]
    assert {"margin.helpfulness", "margin.style"} <= columns[0]
    assert all("margin" in found for found in columns[1:])
    assert [n["metric"] for n in run["davidson"].numbers if n["metric"] == "nu"] == ["nu"]  # type: ignore[attr-defined]
