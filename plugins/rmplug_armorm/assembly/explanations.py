"""Explanations of scores by attributes, and the accuracy of each attribute."""

from __future__ import annotations

from rmplug import Evaluator, Features, Metrics, Pairs, QueryStrategy, Responses, RewardModel


class Contributions(QueryStrategy):
    """Explain each score: attribute rewards, their weights, and contributions that add up to it.

    Asks a model that `assemble` made. Gives the scores under the names that `reward` gives them
    (`reward`; from pairs `chosen`, `rejected` and `margin`), and for each attribute
    `attribute.<name>` (its raw reward, 0 at the least label and 1 at the greatest), `weight.<name>`
    (what the gate makes it count for this prompt, through the debiasing: a negative weight takes a
    confound out) and `contribution.<name>`, their product; contributions add up to the score. From
    pairs `weight.<name>` once, and the others as `chosen.attribute.<name>`,
    `chosen.contribution.<name>`, `rejected.…`. A measured length that rewards are debiased against
    has the same columns as an attribute: its contribution is the part that debiasing subtracts.

    A gate of trees has no weights (NaN): its contributions are SHAP values of debiased rewards,
    against a typical response, and its `margin` looks at both sides at once.

    With `states`, those of the same rows by `hidden-state` with `part: both`, no text is encoded
    again but a few of each shard, which prove that the states are the model's own.
    """

    kind = "contributions"
    requires = ("safetensors", "scipy")
    extra = "all"

    def query(
        self, model: RewardModel, data: Pairs | Responses, states: Features | None = None
    ) -> Features:
        from ._contributions import explain

        return explain(model, data, states)


class Attributes(Evaluator):
    """Measure each attribute reward by itself: how often it prefers the chosen response, and where.

    Takes pairs and their `contributions`. Gives ``accuracy`` (ties one half) with `row` the
    attribute and `column` the subset (``all`` for all pairs), and ``weight``, the mean weight of
    the gate there; 95 % intervals of a bootstrap over groups. Accuracy of an attribute that
    people did not choose by is one half.
    """

    kind = "attributes"
    requires = ("scipy",)
    extra = "tabular"

    def evaluate(self, data: Pairs, contributions: Features) -> Metrics:
        from ._contributions import measure

        return Metrics(measure(data, contributions))
