"""The removal of directions from the states of a model: what is removed, and where."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from rmplug import DataError, RewardModel
from rmplug.arrays import Array
from rmplug.errors import some
from rmplug_hf.heads._linear_reward import LinearReward
from rmplug_hf.loading._classifier import Classifier
from rmplug_hf.loading._encoder import EncoderModel
from rmplug_hf.loading._state_change import AffineChange, Positions, state_change
from rmplug_hf.loading._transformer import Transformer
from rmplug_hf.loading._value_head import ValueHeadModel

from ._directions_file import Direction, PlaceDirections

Form = Literal["orthogonal", "oblique"]
DEPENDENT = 1e-8
"""Directions that are combinations of others up to this share count as none."""


@dataclass(frozen=True)
class Projection:
    """A change of the states of a layer; ``layer`` and ``pooling`` are None for the model's own."""

    layer: int | None
    pooling: str | None
    positions: Positions
    change: AffineChange


def removal(place: PlaceDirections, directions: Sequence[Direction], form: Form) -> AffineChange:
    """Return the change that sets what probes read to what they read of the mean state.

    ``orthogonal`` moves along the probes' weights, the least change of states. ``oblique`` moves
    along the covariance of states and targets: afterwards states are not correlated with a target,
    so that no linear probe fits it (Belrose et al. 2023, LEACE, with the probes' weights in place
    of those of least squares).
    """
    weights = np.concatenate([one.weights for one in directions])
    along = np.concatenate([one.pattern for one in directions])
    along = weights if form == "orthogonal" else along
    write = np.linalg.pinv(weights @ along.T, rcond=DEPENDENT).T @ along
    return AffineChange(weights, write, place.mean, np.zeros(len(place.mean)))


def addition(
    place: PlaceDirections, direction: Direction, form: Form, deviations: float
) -> AffineChange:
    """Return the change that adds so many standard deviations to what a probe reads, along the same
    direction as ``removal``."""
    [weights], [pattern] = direction.weights, direction.pattern
    along = weights if form == "orthogonal" else pattern
    shift = deviations * direction.deviation[0] / (weights @ along) * along
    nothing = np.zeros((1, len(shift)))
    return AffineChange(nothing, nothing, place.mean, shift)


def random_directions(place: PlaceDirections, number: int, count: int) -> Direction:
    """Return some of the random directions of a place, the ``number``-th ``count`` of them, as if a
    probe had found them for one target."""
    weights = place.random[number * count : (number + 1) * count]
    deviation = np.sqrt(np.mean((place.random @ weights.T) ** 2, axis=0))
    return Direction((), weights, np.zeros(count), weights, deviation, weights[None])


def chosen(place: PlaceDirections, targets: Sequence[str]) -> dict[str, Direction]:
    """Return the directions of these targets, or of all; raises DataError for an unknown one."""
    for name in targets:
        if name not in place.targets:
            raise DataError(f"no probe is of {name!r}; there are {some(place.targets, 12)}")
    return {name: place.targets[name] for name in targets or place.targets}


def transformer_of(model: RewardModel) -> Transformer:
    """Return the model opened, if its states can be changed; raises DataError."""
    opened = model.open()
    if not isinstance(opened, Transformer):
        raise DataError(
            f"{model.name or type(opened).__name__} has no states that can be changed; give a "
            "model of transformers, such as a sequence-classifier, an encoder or its linear-head"
        )
    if opened.loaded.change is not None:
        raise DataError(
            f"the states of {model.name or 'the model'} are projected already; give all targets to "
            "one projection"
        )
    return opened


def layer_of(model: Transformer, layer: int | None) -> int:
    """Return the number of a layer, from 0; None is the one that the model has for its own."""
    own = model.step.layer if isinstance(model, EncoderModel) else -1
    count = int(model.loaded.config.get_text_config().num_hidden_layers) + 1
    number = own if layer is None else layer
    if not -count <= number < count:
        raise DataError(
            f"the model has the layers 0 (embeddings) to {count - 1}; there is no {number}"
        )
    return number % count


def is_own(model: Transformer, layer: int | None, pooling: str | None) -> bool:
    """Check whether states are those that a linear head on an encoder reads."""
    return (
        isinstance(model, LinearReward)
        and layer_of(model, layer) == layer_of(model, None)
        and pooling in (None, model.step.pooling)
    )


def projected(model: RewardModel, projection: Projection) -> Transformer:
    """Return the model with its states changed; the model itself stays as it is.

    The head of `linear-head` takes the change into its weights where it reads the very states;
    elsewhere the network does it while it runs.
    """
    opened, layer = transformer_of(model), projection.layer
    found = copy(opened)
    if is_own(opened, layer, projection.pooling) and projection.positions == "all":
        assert isinstance(found, LinearReward)
        _check_width(projection.change, opened.width)
        weights, bias = projection.change.fold(found.weight[None], np.array([found.bias]))
        found.weight, found.bias = weights[0], float(bias[0])
        return found
    if isinstance(opened, EncoderModel) and opened.step.normalise:
        raise DataError(
            "the encoder scales its states to length 1 after they are read, so that a direction in "
            "them cannot be taken out inside the network; fit on an encoder with normalise: false"
        )
    number = layer_of(opened, layer)
    change = state_change(opened.loaded, number, projection.change, projection.positions)
    found.loaded = replace(opened.loaded, change=change)
    return found


def _check_width(change: AffineChange, width: int) -> None:
    if len(change.mean) != width:
        raise DataError(
            f"the directions are of states of {len(change.mean)} numbers, those of the model have "
            f"{width}; fit them on states of this model"
        )


def head_weights(model: Transformer) -> Array | None:
    """Return the weights (outputs, width) of a linear head on the state of one token, or on a
    pooled state, in the order of the model's outputs; None where the head is no linear one."""
    if isinstance(model, LinearReward):
        return model.weight[None]
    if isinstance(model, ValueHeadModel):
        return _numbers(model.weight)[model.columns]
    head = getattr(model.loaded.model, "score", None)
    if not isinstance(model, Classifier) or not isinstance(head, torch.nn.Linear):
        return None
    return _numbers(head.weight)[model.columns]


def _numbers(weights: torch.Tensor) -> Array:
    return np.asarray(weights.detach().float().cpu().numpy(), dtype=np.float64)
