"""The model of Dawid and Skene: each item has a class, and each annotator a confusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MOST_ROUNDS = 500
CLOSE = 1e-8
PRIOR = 0.01
"""Labels of each kind that every annotator is taken to have given before: no probability is 0."""


@dataclass(frozen=True)
class DawidSkene:
    """The probability of each class for each item (items, classes), the frequency of the classes,
    and for each annotator the probability of each label given the class (annotators, classes,
    labels)."""

    posterior: Floats
    classes: Floats
    confusion: Floats


def fit_dawid_skene(codes: Ints, labels: int) -> DawidSkene:
    """Fit the model by EM (Dawid and Skene, 1979, Applied Statistics 28), beginning with the shares
    of each item's labels. ``codes`` (items, annotators) are labels from 0, -1 for none."""
    given = np.stack([(codes == label) for label in range(labels)], axis=2).astype(np.float64)
    votes = given.sum(axis=1) + 1e-9
    posterior = votes / votes.sum(axis=1, keepdims=True)
    classes, confusion = _maximise(posterior, given)
    for _ in range(MOST_ROUNDS):
        before, posterior = posterior, _expect(classes, confusion, given)
        classes, confusion = _maximise(posterior, given)
        if np.abs(posterior - before).max(initial=0.0) < CLOSE:
            break
    return DawidSkene(posterior, classes, confusion)


def _expect(classes: Floats, confusion: Floats, given: Floats) -> Floats:
    scores = np.einsum("ial,acl->ic", given, np.log(confusion), optimize=True) + np.log(classes)
    scores -= scores.max(axis=1, keepdims=True)
    weights = np.exp(scores)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _maximise(posterior: Floats, given: Floats) -> tuple[Floats, Floats]:
    classes = posterior.sum(axis=0) + PRIOR
    counts = np.einsum("ic,ial->acl", posterior, given, optimize=True) + PRIOR
    return classes / classes.sum(), counts / counts.sum(axis=2, keepdims=True)
