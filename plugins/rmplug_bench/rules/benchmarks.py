"""The evaluator of benchmarks: a benchmark is data and a rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field, model_validator

from rmplug import Evaluator, Features, InputPath, Known, Metrics, Pairs, Responses
from rmplug_bench.baselines.names import BASELINES, Baseline

BUILT_IN = Literal[
    "rewardbench",
    "rewardbench-2",
    "rm-bench",
    "judgebench",
    "llmbar",
    "rmb",
    "rmb-best-of-n",
    "rewardmath",
    "ppe",
    "m-rewardbench",
]


class Benchmark(Evaluator):
    """Score rewards on a benchmark by its own rule, subsets, sections and weights.

    Takes the benchmark's data (from the loader of its layout, or your own) and one or more rewards
    on them: margins of pairs, scores of responses. Of a reward with several outputs the one called
    ``reward`` counts, or else each is a model, ``<step>.<output>``.

    Gives ``metric, subset, value, low, high, n, model, kind, level, row, column, chance, baseline,
    sentence``; ``kind`` is ``model`` or ``baseline``. ``low`` and ``high`` bound a 95 % interval
    (bootstrap over prompt groups, drawn among groups of the same subsets, with the weights of
    sections). ``n`` counts items: pairs, or choices.

    - ``accuracy`` (level ``subset``): the share of items that are right. A tie counts one half, of
      m best-scored responses one of m; an item with a missing score is left out, and counted by
      ``missing``. The subset Ties of RewardBench 2 has its own formula, from -0.01 to 1.01.
    - ``score`` (levels ``section`` and ``overall``, whose subset is ``all``): the weighted mean of
      subsets, and of sections. What the data lack leaves the denominator; a subset that is in no
      section is named. With ``by``, also the whole of each value, such as a language.
    - ``accuracy-published`` and ``score-published``: the same by the published tool's rule (a tie
      may be a loss, a missing score always is).
    - ``accuracy-one-game`` (JudgeBench): a tie is a vote for the response in the second position.
    - ``easy``, ``normal``, ``hard`` (RM-Bench): the right response in the fancier, the same, the
      plainer style; level ``cell``: each style of right (``row``) against wrong (``column``).
    - ``mrr``, ``pair-accuracy``: mean reciprocal rank of the best right response; the share of
      right responses above wrong ones to the same prompt.

    Baselines are scored by the same rule. A subset on which one reaches ``baseline_accuracy``, and
    its interval lies above chance, is flagged: the row of the strongest has a ``sentence``, and the
    rows of that subset name it as ``baseline``.
    """

    kind = "benchmark"

    benchmark: BUILT_IN | None = None
    """One of the built-in benchmarks."""
    definition: InputPath | None = None
    """A benchmark of your own: a page of YAML with ``name``, ``rule``, ``sections``, ``overall``,
    ``by``, ``published``, ``also`` and ``styles``; all but the first two may be left out."""
    baselines: tuple[Baseline, ...] = BASELINES
    """Baselines (length, markup, first character, pairs of words), scored beside the rewards."""
    baseline_accuracy: float = Field(default=0.7, gt=0.5, lt=1)
    """A baseline's accuracy on pairs from which a subset is flagged. Where chance is not one half,
    the accuracy with the same odds against chance: 0.44 of four, 0.21 of ten."""
    resamples: int = Field(default=10_000, ge=100)
    """Bootstrap resamples of prompt groups behind each interval."""

    @model_validator(mode="after")
    def _check(self) -> Benchmark:
        if (self.benchmark is None) == (self.definition is None):
            raise ValueError("give either benchmark (a built-in one) or definition (a file)")
        if self.definition is not None and self.definition.is_file():
            from ._definitions import read_definition

            read_definition(self.definition)
        return self

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        measured = ("metric", "subset", "value", "low", "high", "n", "model", "kind", "level")
        return Known(columns=(*measured, "row", "column", "chance", "baseline", "sentence"))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from rmplug_bench.statistics._reward_columns import no_rewards

        return no_rewards(inputs["data"][0], inputs["rewards"])

    def evaluate(
        self, data: Pairs | Responses, rewards: Sequence[Features], *, seed: int
    ) -> Metrics:
        from ._benchmark import BenchmarkSettings, measure
        from ._definitions import built_in, read_definition

        if self.definition is not None:
            definition = read_definition(self.definition)
        else:
            definition = built_in(str(self.benchmark))
        asked = BenchmarkSettings(self.baselines, self.baseline_accuracy, self.resamples, seed)
        return measure(data, rewards, definition, asked)
