"""Evaluators that compare reward models: differences, best of N, agreement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from rmplug import Evaluator, Features, Known, Metrics, Pairs, Responses
from rmplug_bench.baselines.names import BASELINES, Baseline


class Compare(Evaluator):
    """Test which of several reward models is better, and compute the detectable difference.

    Takes pairs with margins, or responses with scores and a ``label`` (above 0 is right), and
    measures accuracy: of pairs, a tie counting one half; of choices (the responses of a ``case``
    or, without that column, to one prompt), whether the best-scored response is right, m equally
    best ones counting one m-th each. Decisions that a model has no score for are left out for all
    and named. Gives ``metric, subset, value, low, high, n, model,
    kind, other, p, p_holm, p_mcnemar, sentence``; ``subset`` is ``all`` for the whole, ``n`` counts
    decisions (pairs or choices), intervals are 95 %, by bootstrap over prompt groups.

    - ``accuracy`` of each model, and of each baseline (``kind`` is ``baseline``).
    - ``difference``: accuracy of ``model`` minus that of ``other``, resampled together, for every
      two models (the better one of the whole first) and for each model against the baseline that
      is best there. ``p``: two-sided, exact, from flipping the sign of each prompt group's
      difference, so that pairs of one prompt count together; ``p_mcnemar``: McNemar's exact test of
      the decisions, the same number where every prompt has one decision and no half is won;
      ``p_holm``: ``p`` by Holm's correction over all comparisons of its family: models on the
      whole, models on subsets, models against baselines on the whole, the same on subsets. The best
      baseline is chosen on the same data, which favours the baseline.
    - ``minimum-detectable-difference``: the difference in accuracy that is detected with 80 % power
      at a level of 5 %, with so many prompts and models that disagree as these two do.
    - ``rank`` of each model, 1 the best, with the middle 95 % of its ranks in the resamples.
    - ``not-significantly-different``, for the whole: how many models, from this one down, do not
      differ from each other in that sense.

    ``sentence`` says it in words, for the whole; one is better where ``p_holm`` is below 0.05.
    """

    kind = "compare"

    resamples: int = Field(default=10_000, ge=100)
    """Bootstrap resamples of prompt groups behind each interval."""
    baselines: tuple[Baseline, ...] = Field(default=BASELINES, min_length=1)
    """Baselines beside the models; those that have nothing to go by in the data (a position that
    was not recorded) are left out."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        measured = ("metric", "subset", "value", "low", "high", "n", "model", "kind")
        return Known(columns=(*measured, "other", "p", "p_holm", "p_mcnemar", "sentence"))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from rmplug_bench.statistics._reward_columns import no_rewards

        return no_rewards(inputs["data"][0], inputs["rewards"])

    def evaluate(
        self, data: Pairs | Responses, rewards: Sequence[Features], *, seed: int
    ) -> Metrics:
        from ._compare import compare

        return compare(data, rewards, self.baselines, self.resamples, seed)


class BestOfN(Evaluator):
    """Measure what the best-scored of N responses is worth, and how well scores order responses.

    Takes responses of which several are one choice (the same ``case`` or, without that column, the
    same prompt), one or more scores on them, and what they are
    worth: a column ``label`` (above 0 is right), columns ``ratings.<name>`` (missing allowed), or
    ``gold``, a table with a score of each response, such as a larger model's. Gives ``metric,
    subset, value, low, high, n, model, kind, at, axis, kl, sentence``; ``n`` counts choices,
    intervals are 95 %, by bootstrap over prompt groups. With a label or gold, at each N (``at``):

    - ``best-of-n-accuracy``: how often the best-scored of N responses is right;
      ``best-of-n-gold``: its expected gold score; ``best-of-n-proxy``: its expected score by the
      model itself. Each is the mean over all subsets of N of a choice's responses, in closed form
      and therefore unbiased, equal scores sharing. Beside the models: baselines (``random`` is
      flat) and ``oracle``, which chooses by the truth itself.
    - ``proxy-gain``, ``gold-gain``: the same over their value at N = 1, in standard deviations
      within choices (of gold, or of the label without gold); ``proxy-gold-divergence``: their
      difference, which grows where the score is optimised more than what it stands for (Gao,
      Schulman and Hilton 2023).
    - ``best-n``: the N at which gold (or the label) is highest; its interval holds the middle 95 %
      of the resamples' N. ``fall-after-best-n``: how much lower it is at the largest N, always at
      least 0; only an interval above 0 says that it falls.
    - ``kl``: log N - (N - 1) / N in nats, how far the best of N is from one draw.

    Choices with fewer responses than the largest N, or with one that lacks a score, are left out of
    the curves and named. For each rating, and for gold, over the choices whose responses are not
    all rated the same: ``kendall-<name>`` (tau-b), ``ndcg-<name>`` (gains are ratings, counted
    from the lowest where some are below 0, discounts 1 / log2(1 + rank)), ``top-1-<name>`` (how
    often the best-scored response is best-rated); equal scores share their ranks.
    """

    kind = "best-of-n"

    sizes: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """The N; by default powers of two up to the number of responses that half of the choices have,
    and that number. 1 is always among them."""
    resamples: int = Field(default=10_000, ge=100)
    """Bootstrap resamples of prompt groups behind each interval."""
    baselines: tuple[Baseline, ...] = ("longer", "shorter", "most-markdown", "random")
    """Baselines beside the models."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        measured = ("metric", "subset", "value", "low", "high", "n", "model", "kind")
        return Known(columns=(*measured, "at", "axis", "kl", "sentence"))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from rmplug_bench.statistics._reward_columns import no_rewards

        return no_rewards(inputs["data"][0], inputs["rewards"])

    def evaluate(
        self,
        data: Responses,
        rewards: Sequence[Features],
        gold: Features | None = None,
        *,
        seed: int,
    ) -> Metrics:
        from ._best_of_n_table import measure

        return measure(data, rewards, gold, self.sizes, self.baselines, self.resamples, seed)


class Agreement(Evaluator):
    """Measure how often models decide alike: with each other, with baselines, and with the label.

    Takes pairs with margins, or responses with scores. What a model lacks a score for is left out
    for all and named. Gives ``metric, subset, value, low, high, n, row, column``: each number about
    two models is in both cells of a matrix. Intervals are 95 %, over prompt groups. Of pairs:

    - ``same-decision``: share of pairs on which both prefer the same response, or both none; with
      ``label`` that is accuracy, a tie counting nothing. ``opposite-decision``: share of pairs that
      one decides the other way than the other does; `combine-rewards` and the table of pairs in the
      report say which.
    - ``kappa``: Cohen's kappa of these decisions, were the responses shown in random order: ``(same
      - chance) / (1 - chance)``, where chance is the share expected of two that tie as often and
      otherwise prefer either side half of the time.
    - ``margin-spearman``: rank correlation of margins, chosen minus rejected.
    - ``kendall-over-prompts``: tau-b of the scores of all responses, where they are known.
    - ``all-right``, ``all-wrong``: share of pairs that every model decides so.

    Of responses, over choices (the same ``case``, or else the same prompt): ``same-choice``, the
    chance that both choose the same response, equal scores sharing; ``kappa``, over one in so many
    responses; ``kendall``, the mean of tau-b within choices; and ``krippendorff-alpha`` of
    ``repeats``. Over all responses, ``n`` of them: ``kendall-over-prompts`` (tau-b) and
    ``spearman-over-prompts``. With ``label`` and each of ``ratings`` too, and with them also, over
    all comparisons of two responses of a choice, ``gamma`` (Goodman and Kruskal 1954: of the
    comparisons that neither ties) and ``somers-d`` (Somers 1962: of those that the rating does not
    tie, a tie of the model counting one half right), each in the row of the model. Where
    each response of a choice is a group of its own, as in a rating list (one ``case`` for all to
    the same prompt, a ``group`` for each thing that is rated), ``kendall`` counts responses, and
    its interval is for other things to rate, not for other prompts.
    """

    kind = "agreement"

    resamples: int = Field(default=10_000, ge=100)
    """Bootstrap resamples of prompt groups behind each interval."""
    baselines: tuple[Baseline, ...] = ("longer", "most-markdown", "n-gram")
    """Baselines beside the models."""
    repeats: tuple[str, ...] = ()
    """Ratings of responses that repeat each other on one scale: names of rewards, and the
    ``<name>`` of columns ``ratings.<name>`` (missing allowed), so ``[first, second]`` for
    ``ratings.first`` and ``ratings.second``. Their reliability is Krippendorff's alpha for numbers
    (squared differences): 1 when they agree, 0 when no better than values dealt at random."""

    ratings: tuple[str, ...] = ()
    """Ratings of responses from elsewhere to compare the models' orders with, such as Elo ratings
    of people: the ``<name>`` of columns ``ratings.<name>`` (missing allowed)."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        columns = ("metric", "subset", "value", "low", "high", "n", "row", "column")
        return Known(columns=columns)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from rmplug_bench.statistics._reward_columns import no_rewards

        yield from no_rewards(inputs["data"][0], inputs["rewards"])
        data, steps = inputs["data"][0], {reward.step for reward in inputs["rewards"]}
        named = [("repeats", name) for name in self.repeats]
        named += [("ratings", name) for name in self.ratings]
        if self.ratings and data.is_a(Pairs):
            yield "ratings", f"{data.step} gives pairs, and only responses have ratings"
        for parameter, name in named:
            rating = name.removeprefix("ratings.")
            if rating != name:
                yield parameter, f"write {rating!r} for the column {name!r}"
            elif data.is_a(Responses) and (
                parameter == "ratings" or name.partition(".")[0] not in steps
            ):
                lacking = data.lacks(f"ratings.{name}")
                if lacking:
                    of = "no reward, and " if parameter == "repeats" else "no rating: "
                    yield parameter, f"{name!r} is {of}{lacking}"

    def evaluate(
        self, data: Pairs | Responses, rewards: Sequence[Features], *, seed: int
    ) -> Metrics:
        from ._agreement import Draws, Ratings, agreement

        ratings, draws = Ratings(self.repeats, self.ratings), Draws(self.resamples, seed)
        return agreement(data, rewards, self.baselines, ratings, draws)
