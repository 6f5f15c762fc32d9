"""The ``pairwise`` evaluator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from rmplug import Evaluator, Features, Known, Metrics, Pairs
from rmplug_bench.baselines.names import Baseline


class Pairwise(Evaluator):
    """Measure how often each reward prefers the chosen response, beside simple rules.

    Takes pairs and one or more rewards on them (columns ``margin``, and ``chosen`` and ``rejected``
    if present; a reward with several outputs gives one model per output, ``<step>.<output>``).
    Gives ``metric, subset, value, low, high, n, model, kind, at, axis``; ``kind`` is ``model`` or
    ``baseline``, ``subset`` is ``all`` for the whole, ``n`` counts the pairs behind the value, and
    ``low`` and ``high`` bound a 95 % interval, null where there is none. It counts prompt groups as
    observations and is wider where they are few: Wilson's for shares, Fisher's for rank
    correlations, Woodruff's for medians, and for all else expanded percentiles of a bootstrap over
    groups (over 1,000 blocks of groups where there are more). Per subset:

    - ``accuracy``: share of pairs with a positive margin, a tie counting one half; ``ties``: share
      of margins that are exactly 0. Baselines have these two, by the same
      rule (``random`` has its expected accuracy only).
    - ``accuracy-over-<baseline>``: accuracy minus the baseline's on the same pairs, which are
      resampled together (not for ``random``).
    - ``log-loss``: mean of -log sigmoid(margin), in nats.
    - ``ece``: expected calibration error of the confidence sigmoid(abs(margin)): ten bins of
      equal width from 0.5 to 1, the mean of abs(accuracy - confidence) weighted by bin counts.
      From the square of each bin's difference the variance that chance gives it is taken away
      (Kumar et al. 2019). The interval goes from the lower end of a cross-fitted estimate, which is
      never too high on average, to the upper end of the usual one, which is never too low.
      ``ece-plug-in``: the usual estimate, without either; few pairs make it larger than it is.
      ``ece-by-chance``: what ``ece`` is on average for an exactly calibrated model on so many
      pairs (about .08 for 20 pairs of different prompts, .04 for 100, .02 for 400), as no bin's
      estimate is below 0: an ``ece`` of that size shows no miscalibration.
    - ``margin-mean``, ``margin-median``, ``margin-sd`` (of the population), in units of the reward.
    - ``prefers-longer``: share with the longer response scored higher, ties and equal lengths left
      out; ``accuracy-longer-chosen`` and ``accuracy-shorter-chosen``: accuracy where the longer (or
      shorter) response is the chosen one.
    - ``length-controlled-accuracy``: accuracy that is expected of pairs of equal length and
      markdown. A logistic regression over pairs of "the chosen response is preferred" (a tie is
      half of each) on an intercept and two gaps, chosen minus rejected in characters and in
      markdown marks, each divided by its root mean square over all pairs and put through tanh (as
      in length-controlled AlpacaEval, Dubois et al. 2024); the value is the logistic function of
      the intercept, that is, the prediction at no gap. A ridge penalty of 0.0001 a pair keeps it
      finite. Resamples take one Newton step from the fit.
    - ``margin-length-pearson``, ``margin-length-spearman``: within pairs, margin with difference in
      characters; ``raw-score-length-spearman``: over all responses, score with characters: prompts
      are mixed, so it also carries differences between prompts.
    - ``missing``: number of pairs without a finite margin, left out of everything else but
      ``raw-score-length-spearman``, to which each finite score counts.

    For the whole also the reliability curve: ``reliability`` with subset ``bin-01`` … ``bin-10``
    is the accuracy among pairs with confidence in that tenth of 0.5 to 1, and ``confidence`` their
    mean confidence; bins without pairs are left out.
    """

    kind = "pairwise"

    resamples: int = Field(default=10_000, ge=100)
    """Bootstrap resamples of prompt groups behind the intervals that need them."""
    baselines: tuple[Baseline, ...] = (
        "longer",
        "shorter",
        "random",
        "most-markdown",
        "first-character",
        "n-gram",
    )
    """Simple rules: choose the longer or the shorter response (characters), the one with the most
    or least markdown marks, the one published first or last (column ``place``), the one whose first
    character is more often right in other groups, the one whose words and pairs of words are
    (log-odds), or either at random (its expectation, 0.5). The two that learn never see the group
    they are measured on."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        columns = ("metric", "subset", "value", "low", "high", "n", "model", "kind", "at", "axis")
        return Known(columns=columns, metrics=self._metrics())

    def _metrics(self) -> Sequence[str]:
        return (
            *("accuracy", "ties", "log-loss", "ece", "ece-plug-in", "ece-by-chance"),
            *("margin-mean", "margin-median", "margin-sd"),
            *("prefers-longer", "accuracy-longer-chosen", "accuracy-shorter-chosen"),
            *("length-controlled-accuracy", "margin-length-pearson", "margin-length-spearman"),
            *("accuracy-by-length-gap", "raw-score-length-spearman", "missing", "reliability"),
            "confidence",
            *(f"accuracy-over-{rule}" for rule in self.baselines if rule != "random"),
        )

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from ._reward_columns import no_rewards

        return no_rewards(inputs["data"][0], inputs["rewards"])

    def evaluate(self, data: Pairs, rewards: Sequence[Features], *, seed: int) -> Metrics:
        from ._pairwise import measure

        return measure(data, rewards, self.baselines, self.resamples, seed)
