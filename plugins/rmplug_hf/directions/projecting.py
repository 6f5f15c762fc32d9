"""Models without directions that probes have found, in a run and as a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rmplug import Checkpoint, Fit, Known, ModelLoader, RewardModel, Trainer
from rmplug.families import Names, Step

from .probing import Probe


class Projected(ModelLoader):
    """Load a model without the directions that `probe` found: its states, and what follows, have
    nothing of them.

    States are changed where the probe read them: after that layer, at every token or the last one,
    each state is moved so that the probes read of it what they read of the mean state. The network
    is as it was for all other steps. A `linear-head` whose own states were probed takes the change
    into its weights, exactly; `hidden-state` then gives states as they were. Any step that takes a
    model takes this one: `reward` and `compare` for before and after, `hidden-state` to probe
    again. It cannot be trained further; `project-out` saves it.
    """

    kind = "projected"
    requires = ("torch", "transformers", "safetensors", "scipy")
    extra = "hf"

    targets: Names = ()
    """The targets whose directions are taken out, together; by default all."""
    place: str | None = None
    """The place, such as `states.layer-4`; needed where the probes are of several."""
    projection: Literal["orthogonal", "oblique"] = "orthogonal"
    """`orthogonal`: along the probe's weights, the least change of a state. `oblique`: along the
    covariance of states and target, after which no linear probe fits the target (LEACE, Belrose et
    al. 2023), at the price of a larger change."""
    positions: Literal["all", "last"] = "all"
    """The tokens whose states are changed: all of them, or the last one of a conversation."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=inputs["model"][0].outputs)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        yield from no_probe(inputs)

    def load(self, model: RewardModel, directions: Fit) -> RewardModel:
        from ._projected_model import load_projected

        return load_projected(self, model, directions)


class ProjectOut(Trainer):
    """Put a model and the removal of directions from its states into one checkpoint.

    The model is as with `projected`. Of a trained model the folder has a copy, without the texts in
    `examples.json`; of one that was loaded it has the location, the settings and the SHA-256 of
    each file, and no permission. The projection is beside it as safetensors. `rmplug.load`, `rmplug
    score`, `reward-head` and every step that takes a model open it. It has no numbers: those of the
    training hold for the model as it was; evaluate the model that this gives.
    """

    kind = "project-out"
    requires = ("torch", "transformers", "safetensors", "scipy")
    extra = "hf"
    trained_input = "model"

    targets: Names = ()
    """The targets whose directions are taken out, together; by default all."""
    place: str | None = None
    """The place, such as `states.layer-4`; needed where the probes are of several."""
    projection: Literal["orthogonal", "oblique"] = "orthogonal"
    """As with `projected`."""
    positions: Literal["all", "last"] = "all"
    """As with `projected`."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=inputs["model"][0].outputs)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        yield from no_probe(inputs)

    def train(
        self, model: Checkpoint | RewardModel, directions: Fit, *, directory: Path
    ) -> Checkpoint:
        from ._projected_model import save_projected

        save_projected(self, model, directions, directory)
        return Checkpoint(directory, type(self))

    @classmethod
    def open(cls, directory: Path, **changed: Any) -> RewardModel:
        """Open model and projection; ``changed`` has the user's settings of the model."""
        from ._projected_model import open_projected

        return open_projected(directory, changed)


def no_probe(inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
    """Report a fit that has no directions."""
    made_by = inputs["directions"][0].made_by
    if isinstance(made_by, Step) and not isinstance(made_by, Probe):
        step = inputs["directions"][0].step
        yield "directions", f"{step} is made by {made_by.kind}; give a step probe"
