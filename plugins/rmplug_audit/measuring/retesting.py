"""The ``retest`` evaluator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from rmplug import Evaluator, Features, Known, Metrics, Names, Responses

from .columns import RETEST, RETEST_METRICS, no_copies


class Retest(Evaluator):
    """Measure what a repair did: to the effects that it was meant for, to others, to accuracy.

    Takes responses with their changed copies that the repair has not seen (of `perturb` or
    `variants`), and the rewards ``before`` and ``after``. Everything is paired: on responses that
    both score. Effects are as in `effects`, each in units of its own model. Gives ``metric, subset,
    value, low, high, n, model, other, perturbation, theme, dose, intention, p, q, power,
    detectable, verdict, targeted``; ``model`` is the one after, ``other`` the one before, and
    intervals are 95 %, over prompt groups.

    - ``effect-before``, ``effect-after``, with the verdicts of `effects`, and ``effect-change``,
      after less before; ``remaining``: after over before. The verdict of ``effect-change`` is
      ``worse`` where the effect is a fault after (an exploit, or a sensitivity) and surely stronger
      by more than `rise`; for one that was none before, ``slightly worse`` where surely by less;
      for one that was, ``repaired`` where the interval of ``remaining`` lies within what `fall`
      leaves, ``not repaired`` where it lies outside; ``nothing to repair`` where there is none
      before and after, with at least 80 % power; else ``cannot tell``. Damage that cost nothing is
      repaired where it costs something.
    - ``effects-up``: the number of changes without ``targeted`` that are ``worse``, of ``n``;
      ``effects-slightly-up``: of those that are ``slightly worse``.
    - ``accuracy-before``, ``accuracy-after`` and ``accuracy-change``, for the whole and each
      subset, over all preferences of a good over a bad original (`label`). Its verdict is ``kept``
      where the interval lies above a loss of `lost`, ``worse`` where it lies below, else ``cannot
      tell``; ``power`` is that to find such a loss.
    """

    kind = "retest"

    targets: Names = ()
    """The perturbations or themes that the repair is meant for; by default those that exploit the
    model before."""
    fall: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """The share by which an effect must fall to be repaired."""
    lost: Annotated[float, Field(ge=0, lt=1)] = 0.005
    """The loss of accuracy that a repair may cost."""
    rise: Annotated[float, Field(ge=0)] = 0.1
    """The increase of an effect, in units, that matters: half of what is called small."""
    size: float = Field(default=0.2, gt=0)
    """The size of an effect that matters, in units, for ``power`` and ``verdict``."""
    dependence: Literal["positive", "any"] = "positive"
    """How the tests may depend on each other, as in `effects`."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=RETEST, metrics=RETEST_METRICS)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        return no_copies(inputs["data"][0])

    def evaluate(self, data: Responses, before: Features, after: Features) -> Metrics:
        from ._retest import Asked, measure

        asked = Asked(self.targets, self.fall, self.lost, self.rise, self.size, self.dependence)
        return measure(data, before, after, asked)
