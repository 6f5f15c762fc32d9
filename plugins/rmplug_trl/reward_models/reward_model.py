"""The trainer of reward models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from rmplug import Checkpoint, Known, Pairs, Progress, Responses, RewardModel
from rmplug_trl.training.reopening import open_trained
from rmplug_trl.training.settings import Launcher, TrainingSettings

from .losses import AnyLoss, BradleyTerry

VALIDATED = (
    "eval_steps", "early_stopping_patience", "early_stopping_threshold", "load_best_model_at_end",
    "metric_for_best_model",
)  # fmt: skip
"""Settings without effect unless there are validation rows."""


class RewardModelTrainer(TrainingSettings):
    """Train a reward model: any sequence classifier, all its weights or low-rank matrices.

    ``model`` is a `sequence-classifier`, with `head: new` on a backbone that has no head yet, or
    the checkpoint of an earlier training. Conversations become tokens by the very code with which
    the trained model is asked, and that is written into the checkpoint, so that a template, a
    special token or a limit of length cannot differ between training and scoring. Pairs are
    learnt by Bradley-Terry; `loss` has other ways.

    ``validation``, from other prompts, is measured every `eval_steps` on all its rows: `log-loss`
    (nats; 0.693 is chance) and `accuracy` (ties one half) of pairs, `mse` of ratings; without
    weights and margins, and pairs whose label is a tie are left out. It can stop the training and
    choose the weights, and its rows count as seen by the model.

    Numbers: the loss and `mean_reward` over the steps (the loss is called `log-loss` or `mse` where
    it is just that, so that a report draws it beside the validation rows'); over the validation
    rows, at the end, with 95 % intervals of a bootstrap over groups, `accuracy`, `log-loss` and
    `accuracy-of-longer`, the length baseline, or `mse` and `mse-of-mean`, that of giving every
    response the mean rating of the training rows; `parameters` and `parameters-trained`; `steps`;
    `padding`, the share of padding among tokens; `dropout`, the largest probability of any. A kill
    costs the steps since the last checkpoint: the next run goes on from there and ends with the
    same weights.
    """

    kind = "reward-model"
    renamed: ClassVar[dict[str, str]] = {
        **TrainingSettings.renamed,
        "num_labels": "outputs in the step that loads the model, one name for each",
        "margin": "nothing: a column margin of the data is used",
        "center_rewards_coefficient": (
            "loss: {kind: bradley-terry, center_rewards_coefficient: 0.01}"
        ),
        "label_smoothing_factor": "loss: {kind: bradley-terry, label_smoothing_factor: 0.1}",
        "eval_accuracy": "metric_for_best_model: accuracy",
    }

    loss: AnyLoss = Field(default_factory=BradleyTerry)
    """The loss: `bradley-terry` (pairs), `davidson` (pairs and ties), `regression` (ratings of
    responses), `plackett-luce` (the order of all responses to a prompt)."""
    too_long: Literal["truncate", "drop", "error"] = "truncate"
    """The policy for conversations longer than the model's `max_length`: cut as its `truncate`
    says, leave the row out, or refuse; what is cut or left out is counted."""
    eval_steps: int | None = Field(default=None, ge=1)
    """Steps between measurements of the validation rows; by default once per epoch."""
    early_stopping_patience: int | None = Field(default=None, ge=1)
    """Stop when so many measurements in a row were not better."""
    early_stopping_threshold: float = Field(default=0.0, ge=0)
    """A measurement is better only if it is better by more than this."""
    load_best_model_at_end: bool = False
    """Keep the weights of the best measurement, not the last ones."""
    metric_for_best_model: Literal["log-loss", "accuracy", "mse"] | None = None
    """What better means; by default `log-loss`, or `mse` for ratings."""
    seed: int | None = Field(default=None, ge=0)
    """Another number, another head, order of rows and dropout; by default the spec's seed. In a
    `for-each` over seeds: `inputs: {seed: item}`."""
    launcher: Launcher | None = None
    """Train in several processes instead of this one."""
    save: Literal["adapter", "merged"] = "adapter"
    """With `lora`: keep the matrices and the head beside a reference to the model below them, or
    merge them into a whole model. A merged model must score as the adapter does when a fresh
    process loads it (within 1e-4 of the spread of scores)."""

    @model_validator(mode="after")
    def _check_metric(self) -> RewardModelTrainer:
        metric, ratings = self.metric_for_best_model, self.loss.of == "responses"
        if metric is not None and (metric == "mse") != ratings:
            right = "mse" if ratings else "log-loss or accuracy"
            raise ValueError(f"metric_for_best_model with this loss is {right}")
        if self.save == "merged" and self.lora is None:
            raise ValueError("save: merged belongs to lora; without it a whole model is saved")
        return self

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report a loss that does not fit the data, outputs that do not fit the loss, a training of
        quantized weights, and settings that need validation rows."""
        wanted, other = (Pairs, Responses) if self.loss.of == "pairs" else (Responses, Pairs)
        for name in ("data", "validation"):
            for data in inputs.get(name, ()):
                if data.is_a(other):
                    yield (
                        name,
                        f"the loss {self.loss.kind} learns from {wanted.__name__.lower()}, but "
                        f"{data.step} gives {other.__name__.lower()}",
                    )
        for model in inputs.get("model", ()):
            if model.outputs is not None and self.loss.outputs not in (None, len(model.outputs)):
                yield (
                    "model",
                    f"{model.step} has {len(model.outputs)} outputs, the loss {self.loss.kind} "
                    f"needs {self.loss.outputs}; set outputs there",
                )
        yield from self.quantized_mistakes(inputs.get("model", ()), "model")
        if not inputs.get("validation"):
            for name in VALIDATED:
                if getattr(self, name):
                    yield name, f"{name} needs held-out rows; name them under inputs: validation"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=inputs["model"][0].outputs)

    def train(
        self,
        model: RewardModel,
        data: Pairs | Responses,
        validation: Pairs | Responses | None = None,
        *,
        seed: int,
        directory: Path,
        work: Path,
        progress: Progress,
    ) -> Checkpoint:
        from ._reward_model import train

        own = seed if self.seed is None else self.seed
        numbers = train(self, model.reload(), data, validation, own, directory, work, progress)
        return Checkpoint(directory, type(self), numbers)

    @classmethod
    def open(cls, directory: Path, **changed: Any) -> RewardModel:
        """Load the model; ``changed`` overrides what its format says (`device`, `dtype`…)."""
        return open_trained("sequence-classifier", directory, changed)
