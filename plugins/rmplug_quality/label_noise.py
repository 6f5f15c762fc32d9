"""The feature computer ``label-noise``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from rmplug import FeatureComputer, Features, Known, Pairs
from rmplug.known import joined_twice

from .signed_columns import NOTHING_TO_LEARN, signed_columns


class LabelNoise(FeatureComputer):
    """Estimate for each pair how likely it is that its label is wrong.

    A logistic regression learns from the other prompts' pairs which response is chosen, by the
    differences of their n-grams of words and of the given features; each pair is judged by a model
    that never saw its prompt. Gives

    | column | is |
    |---|---|
    | `support` | log-odds that the labelled response is the better one, by the other prompts (calibrated; below 0: it speaks against the label) |
    | `disagrees` | 1 where `support` is below 0, else 0 |
    | `wrong` | the probability that the label is wrong, 0 to 1; missing for all rows where the share of wrong labels cannot be told |

    A share w of labels is taken to be exchanged at random. Then the label agrees with a margin m of
    the model with probability w + (1 - 2 w) sigmoid(k m): however sure the model is, agreement stays
    below 1 - w. Both w and k are fitted to the margins out of fold (the most likely ones), and `wrong`
    follows by Bayes' rule, with w of at least 0.005. The evaluator `audit`
    gives w with its interval. Where the texts tell so little about labels that this interval is wider
    than 0.3, `wrong` is missing, with a notice: a filter that is to keep such rows asks for
    `noise.wrong is null or noise.wrong < 0.8`. What the model is surely and always mistaken about
    counts as wrong too: read the pairs before dropping them.
    Features that come from a model which learned from these very labels agree with the wrong ones
    too: give none of these.

    Features that change sign when the responses are exchanged are used: `difference.x` and `margin`
    as they are, `chosen.x` and `rejected.x` as their difference; other columns are left out.
    """  # noqa: E501

    kind = "label-noise"
    requires = ("scikit-learn", "scipy")
    extra = "quality"

    ngrams: bool = True
    """Learn from n-grams: words and pairs of words of the responses."""
    folds: Annotated[int, Field(ge=2, le=50)] = 5
    """Parts of the prompts that are held out in turn."""
    strengths: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        0.01,
        0.1,
        1.0,
        10.0,
    )
    """Strengths of the L2 penalty to choose from, larger is stronger; chosen within the other
    prompts' pairs by log-loss on a part of them held out."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns={"support": "number", "disagrees": "boolean", "wrong": "number"})

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        features = inputs.get("features", ())
        if message := joined_twice(features):
            yield "features", message
        for one in features:
            if one.columns is not None and not list(signed_columns(tuple(one.columns))):
                yield (
                    "features",
                    f"{one.step} gives no columns difference.x or margin, nor chosen.x and "
                    "rejected.x, to compare the two responses by",
                )
        if not self.ngrams and not features:
            yield "ngrams", NOTHING_TO_LEARN

    def compute(
        self, data: Pairs, features: Sequence[Features] | None = None, *, seed: int
    ) -> Features:
        from ._label_noise import estimate

        return estimate(data, features or (), self, seed)
