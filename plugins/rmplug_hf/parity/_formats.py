"""Hypotheses about number formats, and about a change of scale."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from rmplug.arrays import Array
from rmplug_hf.loading._transformer import Transformer

from ._asked import FORMATS, Asked, reward_of
from ._hypotheses import Hypothesis
from ._settings import scores_of_step, step_of

LIKE = 0.9
"""Correlation from which on two ways may differ in scale alone."""
LOOSE, MARKED = 0.1, 0.3
"""Largest difference, in standard deviations, that a short format may make; and where all given
numbers are of that format."""
THIRD = 1 / 3
"""Share of the difference that may be left by the same format: batches round it otherwise."""


def of_formats(model: Transformer, asked: Asked, scores: Array) -> Iterator[Hypothesis]:
    """Yield hypotheses about the number format of the network, where scores differ by little:
    a format of which all given numbers are, or else one in which the model comes near to them."""
    ours = asked.shown(scores)
    far, spread = asked.left(scores), float(np.std(ours))
    own, step = str(model.loaded.model.dtype).removeprefix("torch."), step_of(model)
    if far > (LOOSE if asked.format is None else MARKED) * spread or step is None:
        return
    for name in ("float32", *FORMATS):
        if name == own:
            continue
        if name == asked.format:
            yield Hypothesis(
                f"dtype: {name}", lambda rows: reward_of(model, rows.responses), bound=far
            )
        elif asked.format is None:
            other = step.model_copy(update={"dtype": name})
            yield Hypothesis(
                f"dtype: {name}",
                partial(scores_of_step, other),
                rows=asked.rows,  # it is loaded once
                bound=THIRD * far,
            )


def of_scale(asked: Asked, scores: Array) -> Iterator[Hypothesis]:
    """Yield the hypothesis that scores were multiplied and shifted."""
    ours = asked.shown(scores)
    if asked.margins or np.std(ours) == 0 or np.corrcoef(ours, asked.given)[0, 1] < LIKE:
        return
    slope, shift = np.polyfit(ours, asked.given, 1)
    yield Hypothesis(
        f"scores times {slope:.4g} plus {shift:.4g}",
        lambda rows: scores * slope + shift,
        rows=asked.rows,
    )
