"""The one artifact that holds all parts of an interpretable reward model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rmplug import Checkpoint, Features, Fit, Known, Pairs, RewardModel, Trainer


class Assemble(Trainer):
    """Put encoder, attribute heads, debiasing and gate together into one reward model in a folder.

    The folder has safetensors and JSON only; `config.json` names the encoder, its settings and the
    digests of its files: opened with another, it is refused; one without files here, such as a
    served one (`endpoint-states`), by its states of two fixed texts. `reward-head` loads it,
    `rmplug score` and `rank` use it, `contributions` explains its scores, `export-transformers`
    makes a model of `transformers` of it. Outputs: ``reward``, and one per attribute: its raw
    reward, 0 at the least label and 1 at the greatest.

    The position of the prompt's state that the gate reads (`prompt_end` of `hidden-state`) is
    detected by encoding a few prompts that the gate was trained on again; an encoder with other
    states is refused. Without a gate all debiased attributes count the same. With pairs that
    nothing was trained on (`data`, and their `states` to save encoding), scores are divided by the
    temperature that makes the Bradley-Terry loss least; the gate's trees, too.

    Numbers: those of the gate, and with pairs ``accuracy``, ``log-loss-before`` and
    ``log-loss-after`` the calibration, with 95 % intervals of a bootstrap over groups, of `model`
    ``assembled``, and ``temperature-of-scores``.
    """

    kind = "assemble"
    requires = ("safetensors", "scipy")
    extra = "all"

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from rmplug_armorm.debias.text_measures import untaken

        return untaken(inputs["heads"][0], inputs.get("debias", ()))

    @classmethod
    def foresee_folder(cls, directory: Path) -> Known:
        """Foresee the rewards by the names in the settings of the model and of its gate."""
        from rmplug.models.files import read_json

        names = read_json(directory / "config.json").get("attributes")
        gate = read_json(directory / "gate.json").get("kind")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return Known()
        return Known(outputs=("reward", *names), compares=gate == "trees")

    def train(
        self,
        encoder: RewardModel,
        heads: Fit,
        gate: Checkpoint | None = None,
        debias: Fit | None = None,
        data: Pairs | None = None,
        states: Features | None = None,
        *,
        seed: int,
        directory: Path,
    ) -> Checkpoint:
        from ._assembling import assemble

        numbers = assemble(encoder, heads, gate, debias, data, states, seed, directory)
        return Checkpoint(directory, type(self), numbers)

    @classmethod
    def open(cls, directory: Path, **changed: Any) -> RewardModel:
        """Open the model; ``changed`` may have `path` and `device` of its encoder, or a model to
        use in its place (`backbone`)."""
        from ._model import open_assembled

        return open_assembled(directory, changed)
