"""A reward model behind an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel, notice
from rmplug.arrays import Array
from rmplug.errors import some

from ._conversations import ConversationWriter, tokens_of
from ._forms import SCORE_FORMS, as_number
from ._numbers import NumberSource

if TYPE_CHECKING:
    from .scores import EndpointScores

ENOUGH = 8
"""Distinct scores from which their range tells whether an activation was applied."""
ACTIVATED = "scores all between 0 and 1: the server seems to apply an activation"
NOT_ACTIVATED = "score not between 0 and 1, though an activation was asked for"


def load_scores(step: EndpointScores, tokens: RewardModel | None) -> ScoresModel:
    """Return the reward model of a step; nothing is asked yet."""
    form, ids = SCORE_FORMS[step.api], tokens_of(tokens)
    writer = ConversationWriter(ids, step.template, pairs=step.api == "score")
    written = (
        "pair" if writer.pairs else "tokens" if ids else "text" if step.template else "messages"
    )
    if written not in form.takes:
        raise DataError(
            f"{form.speaks} takes no conversation as {written}; give template, the input tokens, "
            "or another api"
        )
    source = NumberSource(step, form, step.use_activation)
    return ScoresModel(step, source, writer)


class ScoresModel(RewardModel):
    """A served reward model; its scores are of shape (rows, outputs)."""

    elsewhere = True

    def __init__(
        self, step: EndpointScores, source: NumberSource, writer: ConversationWriter
    ) -> None:
        self.step, self.source, self.writer = step, source, writer
        self.outputs, self.name = step.outputs, step.model

    def score(self, responses: pa.RecordBatch) -> Array:
        """Return float64 scores of shape (rows, outputs); NaN where the server gives no number."""
        if not responses.num_rows:
            return np.zeros((0, len(self.outputs)))
        rows = self.writer.write(responses)
        scores = self.source.numbers(rows, self._read, self._proves)
        self._check_activation(scores, [row.id for row in rows])
        return scores

    def _read(self, given: Sequence[Any], ids: Sequence[str]) -> Array:
        scores = [_row(values) for values in given]
        self._check_width(scores, ids)
        return np.array(scores, dtype=np.float64)

    def _proves(self, scores: Array) -> bool:
        """Check whether scores show that ``_check_activation`` will refuse none."""
        return self.step.use_activation or bool((scores != 1).any())

    def _check_width(self, given: Sequence[Sequence[float]], ids: Sequence[str]) -> None:
        width = len(self.outputs)
        odd = [(len(row), id) for row, id in zip(given, ids, strict=True) if len(row) != width]
        if odd:
            sizes = sorted({size for size, _ in odd})
            raise DataError(
                f"{self.source.asking.server.address} gave {some(map(str, sizes))} scores where "
                f"there are {width} outputs ({some(self.outputs)}) for {len(odd)} rows "
                f"({some(id for _, id in odd)}); name in outputs all that {self.name} gives"
            )

    def _check_activation(self, scores: Array, ids: Sequence[str]) -> None:
        """Tell of scores that look as if an activation had been applied, or had not been, other
        than asked; refuse a softmax of one output, which says nothing."""
        finite = np.asarray(np.isfinite(scores).all(axis=1))
        within = np.asarray(((scores >= 0) & (scores <= 1)).all(axis=1))
        count = len(np.unique(scores[finite], axis=0))
        if self.step.use_activation:
            odd = np.flatnonzero(finite & ~within).tolist()
            notice(NOT_ACTIVATED, [ids[row] for row in odd])
        elif len(ids) > 1 and finite.all() and (scores == 1).all():
            raise DataError(
                f"{self.source.asking.server.address} gave the score 1 for all of {len(ids)} rows: "
                "the softmax of a single output; have the server apply no activation (vLLM: "
                "--pooler-config '{\"use_activation\": false}'), or ask another api"
            )
        elif count >= ENOUGH and within[finite].all():
            notice(ACTIVATED, ids)


def _row(values: Any) -> list[float]:
    """Return the scores of a row: of several vectors, one for each token, those of the last."""
    if not isinstance(values, list):
        return [as_number(values)]
    last = values[-1] if values and isinstance(values[-1], list) else values
    return [as_number(value) for value in last]
