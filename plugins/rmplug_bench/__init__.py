"""Benchmarks and statistics of reward models (numpy and pyarrow)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from rmplug import Artifact, Evaluator, Features, Metrics, Pairs, hookimpl


class Pairwise(Evaluator):
    """How often each reward prefers the chosen response, beside rules that never read the content.

    Takes pairs and one or more rewards on them (columns ``margin``, and ``chosen`` and ``rejected``
    where known; a reward with several outputs gives one model per output, ``<step>.<output>``).
    Gives ``metric, subset, value, low, high, n, model, kind``; ``kind`` is ``model`` or
    ``baseline``, ``subset`` is ``all`` for the whole, ``n`` counts the pairs behind the value, and
    ``low`` and ``high`` bound a 95 % interval (percentile bootstrap over prompt groups), null where
    there is none. Per subset:

    - ``accuracy``: share of pairs with a positive margin, a tie counting one half; ``ties``: share
      of margins that are exactly 0. Baselines have these two, by the same
      rule (``random`` has its expected accuracy only).
    - ``accuracy-over-<baseline>``: accuracy minus the baseline's on the same pairs, which are
      resampled together (not for ``random``).
    - ``log-loss``: mean of -log sigmoid(margin), in nats.
    - ``ece``: expected calibration error of the confidence sigmoid(abs(margin)): ten bins of
      equal width from 0.5 to 1, the mean of abs(accuracy - confidence) weighted by bin counts;
      with an interval for the whole. Few pairs make it larger than it is, resampled or not.
    - ``margin-mean``, ``margin-median``, ``margin-sd`` (of the population), in units of the reward.
    - ``prefers-longer``: share with the longer response scored higher, ties and equal lengths left
      out; ``accuracy-longer-chosen`` and ``accuracy-shorter-chosen``: accuracy where the longer (or
      shorter) response is the chosen one.
    - ``margin-length-pearson``: within pairs, margin with difference in characters;
      ``raw-score-length-spearman``: over all responses, score with characters: prompts are mixed,
      so it also carries differences between prompts.
    - ``missing``: number of pairs without a finite margin, left out of everything else.

    For the whole also the reliability curve: ``reliability`` with subset ``bin-01`` … ``bin-10``
    is the accuracy among pairs with confidence in that tenth of 0.5 to 1, and ``confidence`` their
    mean confidence; bins without pairs are left out.
    """

    kind = "pairwise"

    resamples: int = Field(default=10_000, ge=100)
    """Bootstrap resamples of prompt groups behind each interval."""
    baselines: tuple[Literal["longer", "shorter", "random", "most-markdown"], ...] = (
        "longer",
        "shorter",
        "random",
        "most-markdown",
    )
    """Rules that never read the content: choose the longer response (characters), the shorter one,
    either at random (its expectation, 0.5), or the one with more markdown marks."""

    def columns(self, inputs: Mapping[str, type[Artifact]]) -> Sequence[str]:
        return ("metric", "subset", "value", "low", "high", "n", "model", "kind")

    def evaluate(self, data: Pairs, rewards: Sequence[Features], *, seed: int) -> Metrics:
        from ._pairwise import measure

        return measure(data, rewards, self.baselines, self.resamples, seed)


@hookimpl
def rmplug_evaluators() -> list[type[Evaluator]]:
    return [Pairwise]
