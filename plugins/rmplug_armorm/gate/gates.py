"""A gate over attribute rewards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from rmplug import Checkpoint, Features, Fit, Known, Pairs, RewardModel, Trainer
from rmplug.models.devices import Device

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Gate(Trainer):
    """Train a gate: how much each attribute reward counts for a prompt, learnt from preferences.

    Takes the attribute `heads`, the `states` of the pairs (`hidden-state` with `part: both`), and
    the `debias` fit whose transform is applied to the rewards, here and wherever the gate is used.
    With debiased rewards r', a response scores ``scale * sum of g_k(prompt) * r'_k``, where g is a
    softmax over attributes of a network on the prompt's state; with `weights: signed` the network
    gives the weights themselves, which may be below 0. The Bradley-Terry loss is the mean
    of ``-log sigmoid(score(chosen) - score(rejected) - margin)``; columns `weight` and `margin` of
    the pairs are respected. `gate: linear` has no hidden layers, `constant` has the best weights
    that know no prompt, `trees` boosts trees on the differences of rewards of both orders of a
    pair and writes them as sentences to `rules.txt`.

    Pairs are cut by group (prompt): `held_out` for the numbers, `validation` to stop early and to
    choose `temperature` and `entropy` by the Bradley-Terry loss, the rest to learn from, starting
    from the best constant weights. An attribute whose debiased reward is the same everywhere (the
    confound itself) gets no weight.

    A softmax cannot count an attribute for the chosen response in some prompts and against it in
    others. Whether any asks for that is tested on the held-out pairs of `mlp` and `linear`:
    ``opposite-signs`` is the number of attributes that do, each with ``weight-of-<attribute>`` by
    segment of the prompts, with intervals that hold for all tests together (Bonferroni). Segments
    are the subsets, and the prompts in which weights learnt on the other pairs are above and below
    0; those with fewer than 8 groups per attribute are not tested.

    Numbers, held out, with 95 % intervals of a bootstrap over groups, also for each subset:
    ``accuracy`` (ties one half) and ``log-loss`` (nats) of `model` ``gate`` and the baselines
    ``equal-weights``, ``constant-weights`` (fitted) and ``longest-response``, and the paired
    ``difference`` of accuracy with each; ``entropy`` of the sizes of the weights (nats) and
    ``entropy-share`` (of the logarithm of the number of attributes). Then ``temperature``,
    ``entropy-weight``, ``scale``, ``steps`` (of the best checkpoint), ``trees``,
    ``validation-loss``, ``bfloat16``.

    The gate itself reads states, not text: `assemble` makes a reward model of it. Source: Wang et
    al. 2024, arXiv 2406.12845, section 3.2.
    """

    kind = "gate"
    requires = ("torch", "safetensors", "scipy")
    extra = "all"
    neutral = frozenset({"device"})

    gate: Literal["mlp", "linear", "constant", "trees"] = "mlp"
    """The function from a prompt's state to weights."""
    weights: Literal["softmax", "signed"] = "softmax"
    """Of `mlp` and `linear`: `softmax` shares one scale among the attributes, none below 0;
    `signed` gives each a weight of any sign, for prompts that count an attribute in opposite ways.
    `temperature`, `entropy` and `scale` are those of the softmax."""
    hidden: int = Field(default=128, ge=1)
    """Width of the hidden layers of `mlp`."""
    layers: int = Field(default=3, ge=1)
    """Number of hidden layers of `mlp`."""
    dropout: Share = 0.5
    """Share of hidden units that are left out at each step, to the nearest 1/256."""
    temperature: tuple[Positive, ...] = Field(default=(1.0, 10.0), min_length=1)
    """Divisor of the logits before the softmax; of several, the one with the least loss."""
    entropy: tuple[float, ...] = Field(default=(0.0,), min_length=1)
    """Weight of the mean entropy of the weights (nats) in the loss: above 0 keeps a gate from
    relying on one attribute, below 0 sharpens it; of several, the one with the least loss."""
    scale: Positive | None = None
    """First value of the trainable factor of the score; that of the best constant weights unless
    given."""
    learning_rate: Positive = 1e-3
    """Of AdamW, at the first step; it falls to 0 over `steps` along a cosine."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Of AdamW."""
    batch: int = Field(default=1024, ge=1)
    """Pairs per step, drawn with replacement."""
    steps: int = Field(default=2000, ge=1)
    """Most steps for each combination of `temperature` and `entropy`."""
    check_every: int = Field(default=50, ge=1)
    """Steps between looks at the validation pairs."""
    patience: int = Field(default=8, ge=1)
    """Looks without a lower loss before training ends."""
    standardise: bool = True
    """Train on states whose dimensions have mean 0 and deviation 1; the saved gate reads states as
    they are."""
    held_out: float = Field(default=0.2, gt=0, lt=0.9)
    """Share of the pairs that the numbers are measured on."""
    validation: float = Field(default=0.12, gt=0, lt=0.9)
    """Share of the pairs that training is steered by."""
    l2: Positive = 1e-4
    """Penalty on the constant weights, where each attribute's differences have size 1."""
    trees: int = Field(default=300, ge=1)
    """Most trees of `trees`."""
    depth: int = Field(default=3, ge=1, le=10)
    """Conditions of a rule at most."""
    tree_rate: float = Field(default=0.1, gt=0, le=1)
    """Learning rate of the trees."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the products in training: `auto` is bfloat16 where the machine multiplies it faster and
    layers have at least 512 units. Weights and the loss are float32."""
    device: Device = "auto"
    """Device of the training: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:1`."""
    compat: Literal["original", "softmaxfix"] | None = None
    """Train as the published script does: rows are split, training starts at scale 1, states are as
    they are, all `steps` are taken, no checkpoint is chosen. In `original` its softmax runs over
    the two sides of a pair, so that each attribute has half the scale as its weight, and debiasing
    is not applied; `softmaxfix` has the softmax over attributes, and debiasing if it is given. The
    script has `temperature: [10]`, `hidden: 1024`, `dropout: 0.2`."""

    @model_validator(mode="after")
    def _check(self) -> Gate:
        if self.held_out + self.validation >= 0.95:
            raise ValueError("held_out and validation leave nothing to learn from; lower them")
        if self.weights == "signed":
            self._check_signed()
        if self.compat is not None and self.gate != "mlp":
            raise ValueError("compat is about gate: mlp; leave one of them out")
        if self.compat is not None and len(self.temperature) + len(self.entropy) > 2:
            raise ValueError("compat chooses no temperature; write temperature: [10]")
        return self

    def _check_signed(self) -> None:
        if self.gate not in ("mlp", "linear") or self.compat is not None:
            setting = "compat" if self.compat is not None else f"gate: {self.gate}"
            raise ValueError(f"weights: signed does not go with {setting}; leave one of them out")
        softmax_only = [
            n for n in ("temperature", "entropy", "scale") if n in self.model_fields_set
        ]
        if softmax_only:
            raise ValueError(
                f"{softmax_only[0]} is that of a softmax; leave it out with weights: signed"
            )

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=())

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from rmplug_armorm.debias.text_measures import untaken

        return untaken(
            inputs["heads"][0], () if self.compat == "original" else inputs.get("debias", ())
        )

    def train(
        self,
        heads: Fit,
        states: Features,
        data: Pairs,
        debias: Fit | None = None,
        *,
        seed: int,
        directory: Path,
    ) -> Checkpoint:
        from ._fitting import train
        from ._settings import GateSettings

        settings = GateSettings(**self.model_dump())
        numbers = train(settings, heads, states, data, debias, seed, directory)
        return Checkpoint(directory, type(self), numbers)

    @classmethod
    def open(cls, directory: Path) -> RewardModel:
        from ._fitting import BareGate

        return BareGate(directory)
