"""Training of reward models: tiny real models, real TRL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from polite import FAST, base_of, number_of, polite_lists, polite_pairs, trained

from rmplug import Artifact, DataError, Pairs, StepError
from rmplug.data.rows import one_batch
from rmplug.data.sides import side_of
from rmplug.testing import run_step
from rmplug_trl.reward_models.losses import Davidson, PlackettLuce, Regression
from rmplug_trl.reward_models.reward_model import RewardModelTrainer

TEST = polite_pairs(24, seed=9)


def test_a_decoder_learns_a_preference_and_is_right_on_other_prompts(tmp_path: Path) -> None:
    made = trained("qwen2", tmp_path, validation=TEST)
    accuracy = number_of(made, "accuracy")
    assert accuracy["value"] >= 0.95
    assert accuracy["low"] < accuracy["value"]
    assert accuracy["n"] == 24
    assert number_of(made, "log-loss")["value"] < 0.3
    assert 0.1 < number_of(made, "accuracy-of-longer")["value"] < 0.9


def test_what_is_saved_scores_as_what_was_validated(tmp_path: Path) -> None:
    made = trained("qwen2", tmp_path, validation=TEST)
    model = made.open()
    batch = one_batch(TEST.table)
    chosen, rejected = (model.score(side_of(batch, s)) for s in ("chosen", "rejected"))
    lead = np.ravel(chosen - rejected)
    assert float((lead > 0).mean()) == number_of(made, "accuracy")["value"]
    assert float(np.logaddexp(0, -lead).mean()) == pytest.approx(
        number_of(made, "log-loss")["value"], abs=1e-5
    )


def test_the_same_seed_gives_the_same_weights_and_another_seed_another_head(tmp_path: Path) -> None:
    one, same, other = (
        trained("qwen2", tmp_path / str(n), seed=seed, max_steps=2)
        for n, seed in enumerate((5, 5, 6))
    )
    weights = [(made.directory / "model.safetensors").read_bytes() for made in (one, same, other)]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_a_seed_of_its_own_is_that_of_the_training(tmp_path: Path) -> None:
    base = base_of("qwen2", tmp_path.parent / "models")
    weights = []
    for name, seed, own in (("run", 6, {}), ("step", 5, {"seed": 6})):
        inputs: dict[str, Artifact] = {"model": base.load(), "data": polite_pairs(16)}
        step = RewardModelTrainer(**{**FAST, "max_steps": 2, **own})
        made = run_step(step, inputs, tmp_path / name, seed=seed)
        weights.append((made.directory / "model.safetensors").read_bytes())  # type: ignore[attr-defined]
    assert weights[0] == weights[1]


def test_lists_are_learnt_by_plackett_luce(tmp_path: Path) -> None:
    made = trained(
        "qwen2", tmp_path, polite_lists(24), polite_lists(10, seed=3), loss=PlackettLuce()
    )
    accuracy = number_of(made, "accuracy")
    assert accuracy["n"] == 30
    assert accuracy["value"] >= 0.9


def test_ratings_of_several_attributes_are_learnt_with_missing_ones(tmp_path: Path) -> None:
    names = ("manners", "length")
    base = base_of("qwen2", tmp_path.parent / "models", outputs=names)
    loss = Regression(ratings=tuple(f"ratings.{name}" for name in names))
    made = trained(
        "qwen2", tmp_path, polite_lists(24), polite_lists(10, seed=3), base.load(), loss=loss
    )
    assert number_of(made, "mse")["value"] < 0.4
    assert made.open().outputs == names


def test_the_odds_of_ties_are_learnt_from_the_gradients_of_each_step_alone(tmp_path: Path) -> None:
    # with a learning rate of nothing for the network the odds alone are learnt: toward 1 tie in 4
    tied = ["tie" if n % 4 == 0 else "A" for n in range(48)]
    data = polite_pairs(48, label=tied)
    made = trained(
        "qwen2", tmp_path, data, loss=Davidson(), optim="sgd", learning_rate=0.2,
        max_grad_norm=1e-12, num_train_epochs=20, warmup_steps=0, lr_scheduler_type="constant",
    )  # fmt: skip
    nu = number_of(made, "nu")["value"]
    assert nu / (nu + 2) == pytest.approx(0.25, abs=0.03)


def test_outputs_that_do_not_fit_the_loss_are_refused(tmp_path: Path) -> None:
    base = base_of("qwen2", tmp_path.parent / "models", outputs=("a", "b"))
    with pytest.raises(StepError, match=r"2 outputs \(a, b\).*needs 1"):
        trained("qwen2", tmp_path, base=base.load())


def training_losses(numbers: list[dict[str, Any]]) -> list[float]:
    """Return the curve of the loss of Bradley-Terry, which is called as in validation."""
    return [
        row["value"]
        for row in numbers
        if (row["metric"], row["subset"]) == ("log-loss", "training")
    ]


def test_the_curves_of_training_and_validation_are_kept(tmp_path: Path) -> None:
    made = trained("qwen2", tmp_path, validation=TEST, eval_steps=10)
    steps = [
        row["step"]
        for row in made.numbers
        if row["metric"] == "log-loss" and row["subset"] == "validation"
    ]
    assert steps == [10, 20, 24]
    losses = training_losses(made.numbers)
    assert len(losses) > 4
    assert losses[-1] < losses[0]


def test_training_stops_when_patience_ends_and_keeps_the_best_weights(tmp_path: Path) -> None:
    # labels that contradict those of the training: every step makes it worse
    table = TEST.table
    swapped = {"chosen": table["rejected"], "rejected": table["chosen"]}
    against = Pairs({**{name: table[name] for name in ("id", "prompt")}, **swapped}, "against")
    made = trained(
        "qwen2",
        tmp_path,
        validation=against,
        eval_steps=2,
        early_stopping_patience=3,
        load_best_model_at_end=True,
    )
    entries = [
        (row["step"], row["value"])
        for row in made.numbers
        if row["metric"] == "log-loss" and row["subset"] == "validation"
    ]
    assert len(entries) < 12
    best = min(entries, key=lambda entry: entry[1])
    assert entries.index(best) == len(entries) - 4
    assert number_of(made, "log-loss")["value"] == pytest.approx(best[1], abs=1e-6)


def test_rows_that_are_too_long_are_dropped_or_refused(tmp_path: Path) -> None:
    data, folder = polite_pairs(12), tmp_path.parent / "models"
    rows = base_of("qwen2", folder).load().token_rows(side_of(one_batch(data.table), "chosen"))
    middle = sorted(len(row.ids) for row in rows)[6]
    base = base_of("qwen2", folder, max_length=middle)
    with pytest.raises(StepError, match="longer than the model's max_length"):
        trained("qwen2", tmp_path, data, base=base.load(), too_long="error")
    made = trained("qwen2", tmp_path, data, base=base.load(), too_long="drop", max_steps=2)
    assert 0 < number_of(made, "steps")["n"] < 12


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_rows(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"loss is not finite at step \d+, on the rows 0-\d+"):
        trained("qwen2", tmp_path, learning_rate=1e30, warmup_steps=0, max_grad_norm=1e30)


def test_dropout_is_what_the_spec_says(tmp_path: Path) -> None:
    none, some, again = (
        trained("gpt2", tmp_path / str(n), max_steps=2, dropout=p).numbers
        for n, p in enumerate((0.0, 0.3, 0.0))
    )
    losses = [training_losses(rows) for rows in (none, some, again)]
    assert losses[0] == losses[2]
    assert losses[0] != losses[1]
    told = [[r["value"] for r in rows if r["metric"] == "dropout"] for rows in (none, some, again)]
    assert told == [[0.0], [0.3], [0.0]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eval_steps", 5),
        ("early_stopping_patience", 2),
        ("early_stopping_threshold", 0.1),
        ("load_best_model_at_end", True),
        ("metric_for_best_model", "accuracy"),
    ],
)
def test_settings_without_effect_but_on_validation_rows_are_told_without_them(
    name: str, value: Any
) -> None:
    step = RewardModelTrainer(**{name: value})
    [(told, why)] = step.mistakes({"model": [], "data": []})
    assert told == name
    assert "name them under inputs: validation" in why


def test_settings_of_the_guide_and_of_old_versions_say_what_to_write_instead() -> None:
    renamed = RewardModelTrainer.renamed
    for name in ("epochs", "lr", "warmup_ratio", "lora_r", "label_smoothing_factor", "max_length"):
        assert renamed[name]
    fields = set(RewardModelTrainer.model_fields)
    assert not fields & set(renamed)


def test_data_of_the_wrong_form_are_refused_with_the_loss_that_fits(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="learns from pairs, not from responses"):
        trained("qwen2", tmp_path, polite_lists(4))


def test_a_model_that_cannot_be_trained_is_refused() -> None:
    from rmplug.testing.small_data import LengthModel
    from rmplug_trl.reward_models._reward_model import trainable

    with pytest.raises(DataError, match="name a sequence-classifier"):
        trainable(LengthModel())
