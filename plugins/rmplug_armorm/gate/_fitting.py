"""From heads, states and pairs to a gate in a folder, with its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rmplug import DataError, Features, Fit, Pairs, RewardModel
from rmplug.arrays import Array
from rmplug_armorm.assembly._mixture import ordered
from rmplug_armorm.debias._transform_file import Transform, read_transform
from rmplug_armorm.heads._heads_file import Heads, read_heads

from . import _gate
from ._constant import fit_weights
from ._numbers import numbers_of, told
from ._pairs import Examples, examples_of, grouped_parts, original_parts
from ._prompts import KEPT, few_prompts
from .gates import Gate


def train(
    step: Gate,
    heads: Fit,
    states: Features,
    data: Pairs,
    debias: Fit | None,
    seed: int,
    directory: Path,
) -> list[dict[str, Any]]:
    """Trains, writes the gate to ``directory``, gives the held-out numbers."""
    found = read_heads(heads.directory)
    transform = transform_of(found, None if step.compat == "original" else debias)
    examples = examples_of(found, transform, states, data)
    if step.compat is None:
        parts = grouped_parts(examples.groups, step.held_out, step.validation, seed)
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
    gate, facts = fit_gate(step, learnt, chosen_by, seed)
    about = {
        "heads": _gate.digest_of(found.weight, found.bias),
        "transform": _gate.digest_of(transform.matrix),
        "facts": facts,
        KEPT: few_prompts(data, examples.prompts),
    }
    _gate.write_gate(directory, gate, transform.names, about)
    # measured as it is saved, in the precision of the file
    saved = _gate.read_gate(directory)
    return [
        *numbers_of(saved, learnt, held, step.l2, seed),
        *(told(name, value, len(learnt)) for name, value in facts.items()),
    ]


def fit_gate(
    step: Gate, learnt: Examples, chosen_by: Examples, seed: int
) -> tuple[_gate.Gate, dict[str, float]]:
    """The gate, and plain facts about how it came to be."""
    if step.gate == "constant":
        weights = fit_weights(learnt.lead, learnt.margins, learnt.weights, step.l2)
        return _gate.Constant(weights), {}
    if step.gate == "trees":
        from ._trees import train_trees

        trees = train_trees(step, learnt, chosen_by, seed)
        return trees, {"trees": float(trees.booster.num_trees())}
    from rmplug.models.devices import device_of

    from ._training import in_bfloat16, train_network, train_original

    if step.compat == "original":
        original = train_original(step, learnt, seed)
        return original, {"scale": 2 * float(original.values[0]), "steps": float(step.steps)}
    trained = train_network(step, learnt, chosen_by, seed)
    return trained.gate, {
        "temperature": trained.setting.temperature,
        "entropy-weight": trained.setting.entropy,
        "scale": trained.gate.scale,
        "steps": float(trained.step),
        "validation-loss": trained.loss,
        "bfloat16": float(in_bfloat16(step, device_of(step.device))),
    }


def transform_of(heads: Heads, debias: Fit | None) -> Transform:
    """What debiases, in the order of the heads; without it nothing changes."""
    if debias is None:
        return Transform(heads.names, np.eye(len(heads.names)))
    return ordered(read_transform(debias.directory), heads.names)


class BareGate(RewardModel):
    """A gate by itself: it reads states, so it cannot score text."""

    def __init__(self, directory: Path) -> None:
        self.gate = _gate.read_gate(directory)

    def score(self, responses: Any) -> Array:
        """Always an error."""
        raise DataError(
            f"the gate {self.name or 'given'} reads states, not text; put it together with its "
            "encoder and heads: kind: assemble"
        )
