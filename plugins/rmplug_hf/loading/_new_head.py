"""A new head on a checkpoint that lacks one: its parameters are drawn when training asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch

from rmplug import DataError

REPLACED = (
    "score.", "classifier.", "qa_outputs.", "cls.", "predictions.", "discriminator_predictions.",
    "lm_head.", "embed_out.", "output_layer.",
)  # fmt: skip
"""Heads of checkpoints, in the place of which a new head comes."""


def name_outputs(names: Sequence[str]) -> dict[str, Any]:
    """Return the entries of a configuration for a head with these outputs."""
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: place for place, name in enumerate(names)},
        "problem_type": None,  # what the head that is replaced was trained for
    }


def is_of_head(model: Any, name: str) -> bool:
    """Check whether a parameter belongs to a model's head; the pooler that BERT's head reads does,
    as many checkpoints lack it."""
    return not name.startswith(f"{model.base_model_prefix}.") or ".pooler." in name


def drawn_anew(model: Any, lacking: Iterable[str], folder: Any) -> tuple[str, ...]:
    """Return the parameters of the head among those that the checkpoint lacks, in order; one whose
    head is whole is refused."""
    names = tuple(sorted(name for name in lacking if is_of_head(model, name)))
    if not names:
        raise DataError(
            f"the checkpoint in {folder} has a head with outputs as many as the new one; leave out "
            "head: new to go on with it, or take the model without a head"
        )
    return names


def draw_parameters(model: Any, names: Sequence[str], seed: int) -> None:
    """Draw parameters of a model by its own rules of initialisation, always on the CPU: the same
    numbers for the same seed on any device, whatever ran before."""
    parameters = dict(model.named_parameters())
    absent = [name for name in names if name not in parameters]
    if absent:
        raise DataError(f"the model has no {absent[0]} any more; draw the head before an adapter")
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for root in modules_of(model, names):
            # a copy of parameters lacks the mark by which transformers leaves loaded ones alone
            drawn = deepcopy(model.get_submodule(root)).cpu().apply(model._init_weights)
            for name, values in drawn.named_parameters(prefix=root):
                if name in names:
                    parameters[name].copy_(values)


def modules_of(model: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Return the largest modules of which all parameters are among the names; for a parameter
    without such a module, the module that it is of."""
    every = dict(model.named_parameters())
    return tuple(dict.fromkeys(_root(every, set(names), name) for name in names))


def _root(parameters: Mapping[str, Any], names: set[str], name: str) -> str:
    root, _, _ = name.rpartition(".")
    above = root
    while above:
        inside = {each for each in parameters if each.startswith(f"{above}.")}
        root = above if inside <= names else root
        above = above.rpartition(".")[0]
    return root
