"""Training of a gate from heads, states and pairs: its folder and its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rmplug import DataError, Features, Fit, Pairs, RewardModel
from rmplug.arrays import Array
from rmplug_armorm.debias._measures import order_transform
from rmplug_armorm.debias._transform_file import Transform, read_transform
from rmplug_armorm.heads._heads_file import Heads, read_heads

from ._constant import fit_weights
from ._examples import GateExamples, examples_of, grouped_parts, original_parts
from ._gate import AttributeGate, ConstantGate, NetworkGate
from ._gate_file import digest_of, read_gate, write_gate
from ._numbers import numbers_of, training_number
from ._opposite_signs import measure_signs
from ._prompts import KEPT, few_prompts
from ._settings import GateSettings
from ._trees import train_trees


def train(
    settings: GateSettings,
    heads: Fit,
    states: Features,
    data: Pairs,
    debias: Fit | None,
    seed: int,
    directory: Path,
) -> list[dict[str, Any]]:
    """Train a gate, write it to ``directory``, and return the held-out numbers."""
    attribute_heads = read_heads(heads.directory)
    transform = transform_of(attribute_heads, None if settings.compat == "original" else debias)
    examples = examples_of(attribute_heads, transform, states, data)
    if settings.compat is None:
        parts = grouped_parts(examples.groups, settings.held_out, settings.validation, seed)
    else:
        parts = original_parts(len(examples))
    learnt, chosen_by, held = (
        examples.at(rows) for rows in (parts.learnt, parts.chosen_by, parts.held)
    )
    for part, what in ((learnt, "learn from"), (chosen_by, "choose by")):
        if len(part) and part.weights.sum() == 0:
            raise DataError(
                f"all {len(part)} pairs to {what} have the weight 0; give more pairs weight"
            )
    gate, facts = fit_gate(settings, learnt, chosen_by, seed)
    about = {
        "heads": digest_of(attribute_heads.weight, attribute_heads.bias),
        "transform": digest_of(transform.matrix),
        "facts": facts,
        KEPT: few_prompts(data, examples.prompts),
    }
    write_gate(directory, gate, transform.names, about)
    # measured as it is saved, in the precision of the file
    saved = read_gate(directory)
    return [
        *numbers_of(saved, learnt, held, settings.l2, seed),
        *_measure_signs(saved, learnt, held, settings.l2),
        *(training_number(name, value, len(learnt)) for name, value in facts.items()),
    ]


def _measure_signs(
    gate: AttributeGate, learnt: GateExamples, held: GateExamples, l2: float
) -> list[dict[str, Any]]:
    """Measure whether attributes change sign between prompts, for a gate that reads prompts."""
    if not isinstance(gate, NetworkGate):
        return []
    return measure_signs(learnt, held, l2, gate.signed)


def fit_gate(
    settings: GateSettings, learnt: GateExamples, chosen_by: GateExamples, seed: int
) -> tuple[AttributeGate, dict[str, float]]:
    """Fit the gate; also returns plain facts about its training."""
    if settings.gate == "constant":
        weights = fit_weights(learnt.lead, learnt.margins, learnt.weights, settings.l2)
        return ConstantGate(weights), {}
    if settings.gate == "trees":
        trees = train_trees(settings, learnt, chosen_by, seed)
        return trees, {"trees": float(trees.booster.num_trees())}
    from rmplug.models.devices import device_of

    from ._training import in_bfloat16, train_network, train_original

    if settings.compat == "original":
        original = train_original(settings, learnt, seed)
        return original, {"scale": 2 * float(original.values[0]), "steps": float(settings.steps)}
    trained = train_network(settings, learnt, chosen_by, seed)
    facts = {
        "steps": float(trained.step),
        "validation-loss": trained.loss,
        "bfloat16": float(in_bfloat16(settings, device_of(settings.device))),
    }
    if not trained.gate.signed:
        facts |= {
            "temperature": trained.point.temperature,
            "entropy-weight": trained.point.entropy,
            "scale": trained.gate.scale,
        }
    return trained.gate, facts


def transform_of(heads: Heads, debias: Fit | None) -> Transform:
    """Return the transform of the debiasing in the order of the heads; the identity without one."""
    if debias is None:
        return Transform(heads.names, np.eye(len(heads.names)))
    return order_transform(read_transform(debias.directory), heads.names)


class BareGate(RewardModel):
    """A gate by itself: it reads states, so it cannot score text."""

    def __init__(self, directory: Path) -> None:
        self.gate = read_gate(directory)

    def score(self, responses: Any) -> Array:
        """Raise DataError: a gate reads states, not text."""
        raise DataError(
            f"the gate {self.name or 'given'} reads states, not text; put it together with its "
            "encoder and heads: kind: assemble"
        )
