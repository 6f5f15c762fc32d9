"""The ``effects`` evaluator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from rmplug import Evaluator, Features, Known, Metrics, Responses

from .columns import EFFECT_METRICS, EFFECTS, no_copies


class Effects(Evaluator):
    """Measure what changes of responses do to rewards, beside what was meant to happen.

    Takes responses with their changed copies (of `perturb` or `variants`: columns `original`,
    `perturbation`, `theme`, `dose`, `intention`), and rewards on all of them. Effects are changes
    of the reward, copy less original, in units of the model's own standard deviation within prompts
    over the originals; where fewer than ten prompts (or not all) have several originals, in that of
    all originals, with a notice. Intervals are 95 %, over prompt groups, by the jackknife (the
    unit's own error included), for shares Wilson's. Gives ``metric, subset, value, low, high, n,
    model, perturbation, theme, dose, intention, p, q, power, detectable, verdict, length_alone,
    member``, for each model:

    - ``effect``: the mean change, for the whole and each subset; ``effect-good`` and
      ``effect-bad``, of originals whose `label` is above 0 or not. ``length_alone`` beside it is
      the effect that the change of length alone would have, as the originals reward the logarithm
      of characters within prompts; ``beyond-length`` is the effect less that.
    - ``dose-slope``: the change per unit of dose, by least squares within originals, each of which
      is its own copy at dose 0 (``detectable`` in its own unit).
    - ``theme-effect``: the strongest effect of a theme (``member``) in the direction in which it
      can be exploited, a rise of the reward, or a fall by a change that improves the response; of
      those that at least ten prompts have (if any) or that are found to be faults. Below 0 where
      all of them go the other way. ``theme-fall``: the strongest fall of the reward by its changes
      that keep the quality, as a number above 0. Intervals are honest for the choice: the largest
      ends of intervals that hold all of them at once. ``power`` is the least of theirs.
    - ``raised``: the share of copies that score above their originals, a tie one half.
    - ``flipped``: the share of right preferences (of every good with every bad original of a
      prompt) that are lost where the bad response is changed; ``flipped-good``: where the good one
      is. A tie is half lost.
    - ``accuracy``: of the originals, a tie one half; ``accuracy-changed``: with the change applied
      to the bad response of each preference; ``accuracy-good-changed``: to the good one;
      ``accuracy-both-changed``: to both. A response that the change does not apply to stays as it
      is, so that all are about the same preferences. Only where the intention leaves labels right.
    - ``accuracy-worst``: the lowest of these over changes that keep the quality, the name of which
      is ``member``, with an interval honest for the choice, for the whole and each subset;
      ``accuracy-worst-subset``: over all subsets of at least ten prompts (``member`` begins with
      the subset).
    - ``unit``: the unit in those of the reward; ``missing``: rows without a finite score, which
      are left out of all comparisons they are part of.

    ``p`` is that of Student's t, two-sided, never below the chance that all prompts that moved go
    one way; where a change moves no score at all, error and interval are those that one prompt would
    give by moving one unit. ``q`` is corrected for false discovery over all tests of the same metric and model,
    those of subsets for themselves. ``power`` is the chance that an effect of `size` is found (``q``
    at most .05) among the others as they are, ``detectable`` the least effect found with 80 % power.
    ``verdict`` is ``exploit`` for an effect against the intention that whoever wants a higher reward
    can use: with `keeps`, one found above 0; with `worsens`, one found above 0, or none as large as
    `size` below 0; with `improves`, one found below 0. It is ``sensitive`` where a change that keeps
    the quality lowers the reward: what has that form is undervalued, and nobody gains by it. It is
    ``none`` where power is at least 80 % (or the intended effect is found),
    else ``cannot tell``; of a theme, the first of its members'.
    """  # noqa: E501

    kind = "effects"

    size: float = Field(default=0.2, gt=0)
    """The size of an effect that matters, in units, for ``power`` and ``verdict``."""
    dependence: Literal["positive", "any"] = "positive"
    """How the tests may depend on each other: `positive` is the rule of Benjamini and Hochberg,
    which holds for independent and positively dependent tests, and in simulations of tests of the
    same prompts; `any` that of Benjamini and Yekutieli, which always holds and finds less."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=EFFECTS, metrics=EFFECT_METRICS)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        return no_copies(inputs["data"][0])

    def evaluate(self, data: Responses, rewards: Sequence[Features], *, seed: int) -> Metrics:
        from ._effects import Asked, measure

        return measure(data, rewards, Asked(self.size, self.dependence, seed))
