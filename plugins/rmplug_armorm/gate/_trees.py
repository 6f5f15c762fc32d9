"""Boosted trees on differences of attribute rewards: antisymmetric, additive, readable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from rmplug import DataError
from rmplug.arrays import Array
from rmplug.models.files import read_tensors
from rmplug.models.tree_texts import read_trees as read_text

from ._examples import GateExamples
from ._gate import TENSORS, AttributeGate
from ._settings import GateSettings

if TYPE_CHECKING:
    import lightgbm

MODEL, RULES = "trees.txt", "rules.txt"


@dataclass(frozen=True)
class TreesGate(AttributeGate):
    """A gate by trees: half their output for a difference, minus half of that for its negative.

    A score is the margin against a typical response, whose debiased rewards are ``reference``.
    """

    booster: lightgbm.Booster
    reference: Array
    names: tuple[str, ...]
    kind = "trees"
    compares = True

    def explain(self, rewards: Array, transform: Array, prompts: Array) -> tuple[Array, Array]:
        contributions = self._parts(rewards @ transform - self.reference)
        return np.full(rewards.shape, np.nan), contributions

    def margins(self, chosen: Array, rejected: Array, prompts: Array) -> Array:
        return np.asarray(self._parts(chosen - rejected).sum(axis=1))

    def _parts(self, difference: Array) -> Array:
        """Compute SHAP values of both orders (n, K); the trees' constant cancels."""
        if not len(difference):
            return np.zeros((0, len(self.names)))
        both = np.concatenate([difference, -difference])
        values = np.asarray(self.booster.predict(both, pred_contrib=True, num_threads=1))
        one, other = np.split(values[:, :-1], 2)
        return np.asarray((one - other) / 2)

    def save(self, directory: Path) -> Mapping[str, Any]:
        (directory / MODEL).write_text(self.booster.model_to_string(), encoding="utf-8")
        (directory / RULES).write_text("\n".join(rules_of(self)) + "\n", encoding="utf-8")
        save_file({"reference": self.reference}, directory / TENSORS)
        return {}


def read_trees(directory: Path, names: Sequence[str]) -> TreesGate:
    """Read the gate that ``save`` wrote."""
    lightgbm = library()
    text, reference = read_text(directory / MODEL), read_tensors(directory / TENSORS)
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise DataError(f"cannot read the trees {directory / MODEL}: {error}") from error
    width = booster.num_feature(), *reference.get("reference", np.zeros(0)).shape
    if width != (len(names), len(names)) or booster.num_model_per_iteration() != 1:
        raise DataError(f"{directory} does not hold trees of {len(names)} attributes; train again")
    return TreesGate(booster, reference["reference"], tuple(names))


def train_trees(
    settings: GateSettings, learnt: GateExamples, chosen_by: GateExamples, seed: int
) -> TreesGate:
    """Train on both orders of each pair, with as many trees as lower the loss of the rows to choose
    by."""
    lightgbm = library()
    params = {
        "objective": "binary",
        "max_depth": settings.depth,
        "num_leaves": 2**settings.depth,
        "learning_rate": settings.tree_rate,
        "min_data_in_leaf": max(2, min(40, len(learnt) // 10)),
        "seed": seed,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        "boost_from_average": False,
    }
    data = lightgbm.Dataset(**_both_orders(learnt), params=params, free_raw_data=False)
    watched = lightgbm.Dataset(**_both_orders(chosen_by), reference=data, free_raw_data=False)
    stop = lightgbm.early_stopping(max(5, settings.patience), verbose=False)
    booster = lightgbm.train(params, data, settings.trees, valid_sets=[watched], callbacks=[stop])
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    reference = (learnt.chosen.mean(axis=0) + learnt.rejected.mean(axis=0)) / 2
    return TreesGate(lightgbm.Booster(model_str=text), reference, learnt.names)


def _both_orders(examples: GateExamples) -> dict[str, Any]:
    lead = examples.lead
    return {
        "data": np.concatenate([lead, -lead]),
        "label": np.repeat([1.0, 0.0], len(lead)),
        "weight": np.tile(examples.weights, 2),
        "init_score": np.concatenate([-examples.margins, examples.margins]),
    }


def rules_of(trees: TreesGate) -> list[str]:
    """Write each tree as sentences: the conditions of a leaf, and the value that it adds."""
    lines = ["Adds to the log-odds that chosen is better, for chosen minus rejected:"]
    for tree in trees.booster.dump_model()["tree_info"]:
        lines.append(f"tree {tree['tree_index'] + 1}")
        lines += _leaves(tree["tree_structure"], (), trees.names)
    return lines


def _leaves(node: Mapping[str, Any], path: tuple[str, ...], names: Sequence[str]) -> Iterator[str]:
    if "leaf_value" in node and "split_feature" not in node:
        yield f"  if {' and '.join(path) or 'always'}: {node['leaf_value']:+.4f}"
        return
    name, at = names[node["split_feature"]], f"{node['threshold']:.4g}"
    yield from _leaves(node["left_child"], (*path, f"{name} <= {at}"), names)
    yield from _leaves(node["right_child"], (*path, f"{name} > {at}"), names)


def library() -> Any:
    """Import LightGBM; raises DataError that says how to install it."""
    try:
        import lightgbm
    except ImportError as error:
        raise DataError("gate: trees needs lightgbm: pip install 'rmplug[tabular]'") from error
    return lightgbm
