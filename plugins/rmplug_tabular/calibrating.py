"""Calibration: margins turned into probabilities that hold, alone or together with a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rmplug import (
    Checkpoint,
    Estimator,
    Features,
    Fit,
    Known,
    PlanView,
    Predictor,
    RewardModel,
    Trainer,
)
from rmplug.records import SeenRows

Form = Literal["platt", "temperature", "isotonic"]


class Calibration(Estimator):
    """Fit how sure a reward's margins are: the probability that the chosen response is better.

    Takes margins (chosen minus rejected) on pairs that the model was not trained on; rows that it
    has seen are refused. The fit looks at differences only, since Bradley-Terry rewards are
    determined up to a constant per prompt, so that no probability belongs to a reward alone. It is
    symmetric: exchanging chosen and rejected turns ``p`` into ``1 - p``, so a margin of 0 is one
    half, and there is no intercept (every pair is written with its chosen response first, and an
    intercept would learn just that).

    - ``platt``: ``sigmoid(slope * margin)`` by maximum likelihood with Platt's targets
      ``(n + 1) / (n + 2)`` (1999), which keep the slope finite; below 0 for a reward that prefers
      the rejected responses, which a notice tells.
    - ``temperature``: ``sigmoid(margin / temperature)`` with a temperature above 0 and the targets
      as they are (Guo et al. 2017).
    - ``isotonic``: any growing function (Zadrozny and Elkan 2002), on both orders of each pair,
      with Platt's targets; linear between its steps. It needs some hundred pairs.

    Numbers, held out in cross-validation by group (prompt), each before and after, with 95 %
    intervals: ``log-loss`` (nats; 0.693 is chance), ``brier`` (mean of ``(1 - p)²``; 0.25 is
    chance), ``ece`` (debiased, as in `pairwise`) and ``accuracy``; ``log-loss-change`` and
    ``brier-change`` (after minus before, of the same pairs); then ``slope`` and ``temperature`` (1
    / slope) with intervals over groups, ``folds``, ``groups``.

    The fit ``predict``s `margin` (log-odds), `probability` and `loss`, so that `pairwise` measures
    it and the report draws its reliability; `calibrated` saves it with the model. Saved as JSON.
    """

    kind = "calibration"
    requires = ("scipy", "scikit-learn")
    extra = "tabular"

    form: Form = "temperature"
    """The form of the probability as a function of the margin."""
    by: str = "margin"
    """The column of ``reward`` with the margin, such as `margin.helpfulness`; a reward with one
    column has no choice."""
    folds: int = Field(default=5, ge=2)
    """Folds of cross-validation, at most one per group; pairs of a prompt stay together."""
    in_sample: Literal["error", "keep"] = "error"
    """The policy for margins of a model that was trained on the pair or its prompt, which are
    larger than those of new pairs: refuse them all, or keep them and count them."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("margin", "probability", "loss"))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for one in inputs["reward"]:
            alone = one.columns is not None and len(one.columns) == 1
            lacking = None if alone else one.lacks(self.by)
            yield from [("by", lacking)] if lacking else []

    def fit(
        self, reward: Features, *, seed: int, directory: Path, seen: Mapping[str, SeenRows]
    ) -> Fit:
        from ._calibrating import calibrate, refuse_seen

        if self.in_sample == "error":
            refuse_seen(reward.name, seen)
        return Fit(directory, type(self), calibrate(self, reward, seed, directory))

    @classmethod
    def open(cls, directory: Path) -> Predictor:
        from ._calibration_file import open_calibration

        return open_calibration(directory)


class Calibrated(Trainer):
    """Put a reward model and its calibration into one checkpoint.

    Takes a trained model and a `calibration` of its margins; one of another model's margins is
    refused where the plan tells. The folder has a copy of the model's and the calibration as JSON;
    it grants nothing that the model's own folder does not. `rmplug.load`, `rmplug score`,
    `reward-head` and every step that takes a model open it. With `platt` and `temperature` each
    reward is the model's times the slope, so that a difference of 1 is odds of e; `isotonic` leaves
    rewards as they are, and only margins are calibrated (`reward` then gives `margin`,
    `probability` and `loss`, and `rmplug compare-texts` the probability). Numbers: those of the
    model and of the calibration.
    """

    kind = "calibrated"

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        made_by = inputs["calibration"][0].made_by
        linear = isinstance(made_by, Calibration) and made_by.form != "isotonic"
        return Known(outputs=inputs["model"][0].outputs) if linear else Known()

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        made_by = inputs["calibration"][0].made_by
        if made_by is not None and not isinstance(made_by, Calibration):
            step = inputs["calibration"][0].step
            yield "calibration", f"{step} is made by {made_by.kind}; give a step calibration"

    def train(
        self, model: Checkpoint, calibration: Fit, *, directory: Path, plan: PlanView | None
    ) -> Checkpoint:
        from ._calibrated_model import save_calibrated

        numbers = save_calibrated(model, calibration, plan, directory)
        return Checkpoint(directory, type(self), numbers)

    @classmethod
    def open(cls, directory: Path, **changed: Any) -> RewardModel:
        """Open model and calibration; ``changed`` is passed to the model's own ``open``."""
        from ._calibrated_model import open_calibrated

        return open_calibrated(directory, changed)
