"""A fast model that decides where it is sure, and an exact one where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from rmplug import Known, ModelLoader, RewardModel
from rmplug.errors import some


class ExactDecisions(ModelLoader):
    """Score pairs with a fast model, and those that it cannot decide with an exact one.

    `exact` and `fast` are two ways to compute the same scores: a model in float32 and in bfloat16,
    or quantized. Of pairs, all responses are scored by `fast`; then, in the order of the size of
    their margin, pairs are scored again by `exact`, until the next margin is more than `bound`
    times the error of the margins that were scored again, so that chance would hardly turn it.
    Scores of these pairs are those of `exact`, the others are those of `fast`: which response is
    better is the same as `exact` says, as long as errors are alike in all pairs. How far the two
    are apart, and how many pairs the fast model decided otherwise, is in the record and on the
    report; `parity` compares the decisions of all pairs.

    It pays where `fast` takes less than half the time and most margins are larger than its error.
    Both models are held in memory. Responses that are not of pairs are scored by `exact` alone.
    """

    kind = "exact-decisions"

    bound: Annotated[float, Field(ge=1)] = 4.0
    """The size of a margin that is taken as it is, in root mean squares of the errors."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=inputs["exact"][0].outputs)

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        exact, fast = inputs["exact"][0], inputs["fast"][0]
        for name, model in (("exact", exact), ("fast", fast)):
            if model.compares or (model.outputs is not None and not model.outputs):
                yield name, f"{model.step} gives no scores of responses; name a reward model"
            elif len(model.outputs or ()) > 1 and "reward" not in (model.outputs or ()):
                outputs = some(model.outputs or ())
                yield name, f"{model.step} has the outputs {outputs}; set only: to one of them"
        if exact.outputs and fast.outputs and exact.outputs != fast.outputs:
            given = f"{exact.step} has {some(exact.outputs)} and {fast.step} {some(fast.outputs)}"
            yield "fast", f"both models must have the same outputs; {given}"

    def load(self, exact: RewardModel, fast: RewardModel) -> RewardModel:
        from ._exact_decisions import load_exact_decisions

        return load_exact_decisions(exact, fast, self.bound)
