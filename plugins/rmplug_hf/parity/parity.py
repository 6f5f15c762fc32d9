"""The evaluator that certifies that two ways to score give the same scores, or says why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from rmplug import Evaluator, Features, Known, Metrics, Names, Pairs, Responses, RewardModel

METRICS = (
    "largest-difference",
    "mean-difference",
    "score-deviation",
    "difference-per-deviation",
    "correlation",
    "flipped",
    "different-tokens",
    "different-files",
    "largest-difference-left",
)


class Parity(Evaluator):
    """Compare two ways to score the same texts: by how much scores differ, and which setting or
    token makes the difference.

    Takes a model of transformers, and as `other` either a second one (another dtype, other batches,
    another template) or scores that were recorded elsewhere: a `reward` step on a `recorded` model,
    or such a model itself. Metrics, over the first `rows` rows of the data, with 95 % intervals of
    a bootstrap over groups: ``largest-difference`` and ``mean-difference`` (in the model's unit),
    ``score-deviation`` (the standard deviation of the model's scores), ``difference-per-deviation``
    (mean difference in its units), ``correlation`` (Pearson's), ``flipped`` (share of decisions
    between two responses to a prompt that change; a tie of one way counts one half). Two ways are
    the same where the largest difference is no more than rounding: 1e-3 standard deviations and the
    precision that recorded numbers have.

    Where they are not, the model is asked again under one hypothesis after another, and
    ``largest-difference-left`` says for each ``setting`` how far apart the two ways then are. Of
    two models, the settings that differ are exchanged one by one; ``different-tokens`` is the share
    of rows whose tokens differ, ``different-files`` the number of files that do. Of recorded scores
    the hypotheses are: an activation (sigmoid), another output, its negative, a change of scale,
    sides exchanged; another number format; the beginning written twice, or not at all; the end
    missing, or one more; no chat template, another one (of `templates`), a system prompt (of
    `systems`), a prompt for a response at the end; texts cut elsewhere; another pad token; padding
    on the left, padding that is read or seen, in batches of 2 to 64 rows in the order of the data.
    ``sentence`` names what explains the difference: all of them where several do, none where none
    does.
    """

    kind = "parity"
    requires = ("torch", "transformers")
    extra = "hf"

    rows: Annotated[int, Field(ge=2)] = 64
    """Rows of data that are scored both ways: the first ones, in their order, as scores that were
    recorded may depend on the rows beside each other in a batch."""
    templates: Names = ()
    """Further templates that may have been used, as in the parameter `template` of a model."""
    systems: Names = ("You are a helpful assistant.",)
    """System prompts that may have been put before conversations without one."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(metrics=METRICS)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        """Report models without scores, and a model that is compared with itself."""
        model, other = inputs["model"][0], inputs["other"][0]
        for name, known in (("model", model), ("other", other)):
            if known.outputs is not None and not known.outputs:
                yield name, f"{known.step} gives no scores; name a reward model"
        if model.step and model.step == other.step:
            yield "other", f"{model.step} is compared with itself; name another model, or scores"

    def evaluate(
        self,
        model: RewardModel,
        other: RewardModel | Features,
        data: Pairs | Responses,
        *,
        seed: int,
    ) -> Metrics:
        from ._certificate import certify

        return Metrics(certify(self, model, other, data, seed))
