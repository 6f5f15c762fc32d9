"""The training and loading of reward heads on the states of a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rmplug import (
    Checkpoint,
    Features,
    InputPath,
    Known,
    ModelLoader,
    Pairs,
    Responses,
    RewardModel,
    Trainer,
)
from rmplug.models.devices import Device
from rmplug_hf.loading.recognised import folder_config

Positive = Annotated[float, Field(gt=0)]
GRID = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 3e-5, 1e-5)


class LinearHead(Trainer):
    """Train a reward model in seconds: a linear head on the states of a frozen encoder.

    From pairs, Bradley-Terry: weights minimise the mean of ``-log sigmoid(reward(chosen) -
    reward(rejected) - margin)`` plus ``l2 / 2`` times their squares, to convergence; a ``weight``
    column weighs pairs, a ``margin`` column is the lead that the chosen response must have. From
    responses, ridge regression of a rating (``target``). For the penalty, states are measured in
    units in which a row has a mean squared length of 1, so that one grid fits all encoders; ``l2``
    is the value with the least held-out loss in cross-validation by group.

    ``states``, from a ``hidden-state`` step on the same encoder and data, saves encoding again; a
    few rows are encoded to prove that they belong together.

    Numbers, held out, with 95 % intervals of a bootstrap over groups, where each fold's ``l2`` is
    chosen on the other folds: from pairs ``accuracy`` (ties one half; also for each subset),
    ``log-loss`` (nats; 0.693 is chance) and ``accuracy-of-longer``, the length baseline; from
    ratings ``r2``, ``mae`` and ``mae-of-mean``. Also ``l2``, ``l2-at-edge`` (1 when a wider grid
    may do better), ``folds``, ``groups``, ``identical`` (pairs whose states are the same).

    The encoder may be served (`endpoint-states`): its states come from the address, in training and
    for every text that the head scores.

    Saved as ``head.safetensors`` and ``config.json``, which names the encoder, how it is used, and
    the digests of its files: opened with another encoder, it is refused. An encoder without files
    here is known by its states of two fixed texts, ``probe.safetensors``.
    """

    kind = "linear-head"
    requires = ("torch", "transformers", "tokenizers", "safetensors", "peft")
    extra = "hf"

    target: str | None = Field(default=None, examples=["ratings.helpfulness"])
    """Numeric column of responses to predict; rows without a number are left out and counted."""
    standardise: bool = True
    """Give each dimension of the states the same size before the penalty; without it large
    dimensions are penalised less. The weights that are saved are for states as they are."""
    l2: tuple[Positive, ...] = Field(default=GRID, min_length=1)
    """Grid of strengths of regularisation."""
    folds: int = Field(default=5, ge=2)
    """Folds of cross-validation, at most one per group; rows of a prompt stay together."""

    def train(
        self,
        model: RewardModel,
        data: Pairs | Responses,
        states: Features | None = None,
        *,
        seed: int,
        directory: Path,
    ) -> Checkpoint:
        from ._linear_head import train

        numbers = train(self, model, data, states, seed, directory)
        return Checkpoint(directory, type(self), numbers)

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("reward",))

    @classmethod
    def foresee_folder(cls, directory: Path) -> Known:
        return Known(outputs=("reward",))

    @classmethod
    def open(cls, directory: Path, **changed: Any) -> RewardModel:
        """Load the head; ``changed`` overrides settings of the encoder (`path`, `device`, of a
        served one `url`…), or is a model to use in its place (`backbone`)."""
        from ._linear_reward import open_head

        return open_head(directory, changed)


class RewardHead(ModelLoader):
    """Load a reward model that `linear-head` has trained, or any trainer that names itself.

    Its encoder and its head or heads, from a folder whose `config.json` names the kind that wrote
    it: `linear-head`, `assemble`, or another that is installed. Scores are in the unit of the head:
    a difference of 1 is Bradley-Terry odds of e, or one point of the rating it was trained on.
    The folder may be a stranger's: the encoder that it names is opened from a folder on this
    machine or from the local cache of the hub, never fetched, and only when every file is the one
    it was trained with; Python code that the encoder brings runs only if you say so here.

    A head on a served encoder names no address: give the input `backbone`, a step `endpoint-states`
    of yours. Any head takes it in place of the recorded encoder, such as one that was trained in
    this process and whose encoder is served now. It is used if it gives, of two fixed texts, the
    states that are kept beside the head (5 % of their length apart at most).
    """

    kind = "reward-head"
    requires = ("torch", "transformers", "tokenizers", "safetensors", "peft")
    extra = "hf"
    neutral = frozenset({"device", "batch_tokens"})

    path: InputPath
    """Folder with `config.json` and the weights of the head."""
    encoder: InputPath | None = None
    """The present folder of the encoder, if it has been moved."""
    device: Device | None = None
    """The device of the encoder; by default as for an `encoder`."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """The most tokens per forward pass; by default as for an `encoder`."""
    trust_remote_code: bool = False
    """Permission to run Python code that comes with the encoder: nothing in the folder grants
    it."""
    allow_pickle_weights: bool = False
    """Permission to read the encoder's weights from pickle files: nothing in the folder grants
    it."""

    @classmethod
    def accepts(cls, source: str) -> Mapping[str, Any] | None:
        """Check whether a trainer has written the folder on an encoder, or around another model."""
        config = folder_config(source) or {}
        inside = "encoder" in config or "model" in config
        return {"path": source} if inside and isinstance(config.get("kind"), str) else None

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        from rmplug.models.reopen import foresee_folder

        return foresee_folder(self.path)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report a folder whose `config.json` names no trainer, a served encoder whose address no
        folder says, and settings of an encoder beside one that has its own."""
        config = folder_config(str(self.path)) or {}
        if not isinstance(config.get("kind"), str):
            yield "path", f"{self.path} is no folder that a trainer wrote: no config.json names one"
        if not inputs.get("backbone"):
            yield from self._unsaid(config)
        else:
            for name in self.model_fields_set - {"path"}:
                yield name, f"with the input backbone, {name} has no say; leave it out"

    def _unsaid(self, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        from rmplug.models.reopen import unsaid

        record = config.get("encoder")
        own = record.get("kind") if isinstance(record, dict) else None
        kind = config.get("encoder_kind", own)
        for name in unsaid(kind)[:1]:
            yield (
                "path",
                f"the head in {self.path} was trained on a model of the kind {kind}, whose {name} "
                f"no folder says; give the input backbone, a step {kind} of yours",
            )

    def load(self, backbone: RewardModel | None = None) -> RewardModel:
        from rmplug import open_folder

        if backbone is not None:
            return open_folder(self.path, backbone=backbone)
        overrides = {
            "path": self.encoder,
            "device": self.device,
            "batch_tokens": self.batch_tokens,
            "trust_remote_code": self.trust_remote_code or None,
            "allow_pickle_weights": self.allow_pickle_weights or None,
        }
        changed = {name: value for name, value in overrides.items() if value is not None}
        return open_folder(self.path, **changed)
