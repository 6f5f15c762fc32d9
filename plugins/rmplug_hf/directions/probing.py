"""Probes: what hidden states know, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from rmplug import Estimator, Features, Fit, Known, Pairs, PlanView, Predictor, Responses
from rmplug.families import Names

Positive = Annotated[float, Field(gt=0)]
GRID = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 1e-4, 1e-5)


class Probe(Estimator):
    """Fit linear probes: does a layer know the length, the subset, whether it is a refusal?

    ``states`` are vectors, from one step `hidden-state` with several `layers` or from several
    steps; every vector column is a *place*. From pairs, each response is a row of its own, and the
    columns `chosen.x` and `rejected.x` are one target (or place) `x`. ``target`` are columns of
    numbers, each of them a target; ``labels`` name columns of ``data``, texts too.

    A number is predicted by ridge regression; truth values, texts, and numbers of two values are
    classes, predicted by logistic regression, one class against the rest where there are more than
    two. Folds of whole groups (prompts) are dealt before anything else; the strength of the penalty
    is chosen by cross-validation inside the other folds, for classes by the squared error of their
    indicators. The whole procedure is done again with labels that are shuffled between groups
    (Hewitt and Liang 2019): what a probe of this size finds in nothing.

    Numbers, held out, one ``subset`` per target and one ``place`` each, with 95 % intervals over
    groups: ``r2`` (0 is the mean), or ``accuracy`` and ``auc`` (0.5 is chance; the mean over
    classes), the same of ``shuffled labels`` (as ``kind: baseline``), the difference
    ``<number>-over-shuffled``, and ``accuracy-of-majority``. Also ``l2``, ``l2-at-edge``,
    ``groups``.

    The fit ``predict``s each target's value: the number, the probability of the higher class, or
    those of all classes; with `chosen.` and `rejected.` before it from pairs, and the place where
    there are several. `direction-effects`, `projected` and `project-out` use its directions. Saved
    as safetensors and JSON.
    """

    kind = "probe"
    requires = ("scipy", "safetensors")
    extra = "hf"

    labels: Names = ()
    """Columns of ``data`` to probe for, such as `subset` or `ratings.helpfulness`."""
    l2: tuple[Positive, ...] = Field(default=GRID, min_length=1)
    """Grid of strengths of the penalty, in units in which a row of states has a mean squared length
    of 1 and each dimension the same size."""
    folds: int = Field(default=5, ge=3)
    """Folds of cross-validation, at most one per group; rows of a prompt stay together."""
    shuffles: int = Field(default=1, ge=1)
    """Times that labels are shuffled; the numbers of `shuffled labels` are the means over them."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        for index, states in enumerate(inputs["states"]):
            if states.columns is not None and "vector" not in _types(states) and _is_typed(states):
                yield f"states.{index}", f"{states.step} has no vectors; give a step hidden-state"
        if not inputs.get("target") and not self.labels:
            yield "labels", "there is nothing to probe for; give the input target, or labels"
        for data in inputs.get("data", ()):
            lacking = ((label, data.lacks(label)) for label in self.labels)
            yield from (("labels", fault) for _, fault in lacking if fault)
        if self.labels and not inputs.get("data"):
            yield "labels", "labels are columns of data; give the input data"

    def fit(
        self,
        states: Sequence[Features],
        target: Sequence[Features] | None = None,
        data: Pairs | Responses | None = None,
        *,
        seed: int,
        directory: Path,
        plan: PlanView | None,
    ) -> Fit:
        from ._probing import probe

        numbers = probe(self, states, target or (), data, seed, plan, directory)
        return Fit(directory, type(self), numbers)

    @classmethod
    def open(cls, directory: Path) -> Predictor:
        from ._probe_values import open_probe

        return open_probe(directory)


def _types(known: Known) -> set[str | None]:
    return {known.type_of(column) for column in known.columns or ()}


def _is_typed(known: Known) -> bool:
    """Check whether the type of every column is known."""
    return None not in _types(known)
