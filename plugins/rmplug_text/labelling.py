"""The choice of what to label next, the sheet for those who label, and their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from rmplug import (
    AwaitedPaths,
    Features,
    Known,
    Pairs,
    Report,
    Reporter,
    Responses,
    Sampler,
    Selection,
)

from .fields import Labels
from .samplers import Share, Whole, exactly_one

Uncertainty = Literal["margin", "probability", "disagreement", "random"]
COLUMNS = ("id", "gain", "reason", "new")


class Choice(Sampler):
    """The parameters of every choice of rows to label."""

    n: Whole | None = None
    """The number of rows to choose, beside those that were chosen before; all that are left when
    there are fewer."""
    fraction: Share | None = None
    """The share of all rows to choose, 0 to 1, rounded to a whole number of rows."""
    one_per_group: bool = False
    """Choose at most one row of each group (prompt), those chosen before included."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns={"id": "text", "gain": "number", "reason": "text", "new": "boolean"})


class Uncertain(Choice):
    """Choose the rows about which a reward model is least sure, or some at random.

    Gives a selection: rows chosen before (the input ``chosen``) first, then the new ones, best
    first: `id`; `gain`, larger for a better choice; `reason`; `new`, whether this step chose the
    row. So a `repeat` carries the selection on, and `filter` with it gives all rows chosen so far.
    Equal rows are in random order. Rows without a finite number are left out and counted.

    Uncertainty finds what the model confuses, and also wrong labels and near-copies: compare it
    with ``random``, and spread it out with `diverse`, whose ``candidates`` this selection can be.
    """

    kind = "uncertain"

    by: Uncertainty = "margin"
    """The rows to choose by ``reward``: ``margin``, the smallest size of its `margin`;
    ``probability``, its `probability` (or `prediction`) nearest to one half; ``disagreement``, the
    largest standard deviation over the members of an `ensemble` (`margin.member.*`, of responses
    `reward.member.*`); ``random`` needs no reward, and is what the others are compared with."""

    @model_validator(mode="after")
    def _one_size(self) -> Uncertain:
        return exactly_one(self, "n", "fraction")

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from ._uncertainty import no_uncertainty

        reward = next(iter(inputs.get("reward", ())), None)
        known = (None, None) if reward is None else (reward.step, reward.columns)
        fault = no_uncertainty(self.by, *known)
        return [("by" if reward is None else "reward", fault)] if fault else []

    def sample(
        self,
        data: Pairs | Responses,
        reward: Features | None = None,
        chosen: Selection | None = None,
        *,
        seed: int,
    ) -> Selection:
        from ._label_pool import budget
        from ._uncertainty import choose_uncertain

        size = budget(self.n, self.fraction, len(data))
        return choose_uncertain(data, reward, chosen, self.by, size, self.one_per_group, seed)


class Diverse(Choice):
    """Choose rows that cover all others: each new one is the farthest from those chosen so far.

    k-centre greedy (Gonzalez 1985; Sener and Savarese 2018, core-set): the largest distance of any
    row to its nearest chosen one is at most twice the least possible. ``vectors`` are vectors, such
    as those of `sentence-embedding`, and numbers, each scaled to a standard deviation of 1; give
    such as do not tell the label (`embedding.prompt`). ``candidates`` is a selection of the rows to
    choose from: with the most `uncertain` ones, several times ``n``, this gives a batch that is
    uncertain and does not repeat itself.

    Gives a selection as `uncertain` does; `gain` is the distance to the nearest row chosen before,
    in units of the vectors. Without rows chosen before, the first is the one nearest to the mean.
    Rows without finite vectors are left out and counted.

    Memory: the vectors twice (4 bytes a number) and a few numbers a row. Time: a pass over them per
    chosen row; 1,000 of 100,000 rows of 384 numbers take about half a minute on one core.
    """

    kind = "diverse"

    @model_validator(mode="after")
    def _one_size(self) -> Diverse:
        return exactly_one(self, "n", "fraction")

    def sample(
        self,
        data: Pairs | Responses,
        vectors: Sequence[Features],
        candidates: Selection | None = None,
        chosen: Selection | None = None,
    ) -> Selection:
        from ._k_centre import choose_diverse
        from ._label_pool import budget

        size = budget(self.n, self.fraction, len(data))
        return choose_diverse(data, vectors, candidates, chosen, size, self.one_per_group)


class LabelSheet(Reporter):
    """Write pairs for people to label: each with its two responses as A and B, and no verdict.

    Gives one file with `id`, `prompt`, `A`, `B` and an empty `winner`, in the order of
    ``selection`` (or of the pairs, all of them). Which response is A is drawn for each pair from
    its id, so that nothing in the file tells what the data say, and the order is the same whenever
    it is written. People write A, B or tie under `winner`, and `labels-file` reads what they wrote.
    In CSV, a text that a spreadsheet would take for a formula begins with an apostrophe.
    """

    kind = "label-sheet"

    format: Literal["csv", "jsonl"] = "csv"
    """The format of the file: `to-label.csv` or `to-label.jsonl`, in UTF-8."""
    answers: AwaitedPaths | None = None
    """Files with answers so far, or a pattern; pairs that have one are left out. They need not be
    there yet."""
    labels: Labels = Field(default_factory=Labels)
    """The verdicts in these files, as for `labels-file`."""

    def report(self, data: Pairs, selection: Selection | None = None, *, directory: Path) -> Report:
        from ._label_files import write_sheet

        entry = write_sheet(self, data, selection, directory)
        return Report(directory, entry)


class LabelsFile(Sampler):
    """Take the labels that people wrote on a `label-sheet`, and go on with them.

    ``path`` has rows with `id` and `winner` (A, B or tie, as on the sheet); further columns are not
    read. Gives the pairs of ``selection`` (or all) that have a winner, in their order, the winner
    as the chosen one, with `votes` (verdicts on the pair) and `agreement` (the share of them that
    is the majority's); columns about one of two responses are exchanged with them, and `margin`,
    the lead of another label, is left out. Several verdicts on a pair are put to the vote; a draw
    is a tie. Ties are left out and counted, and so are answers about other pairs.

    While answers are missing the run ends here: it says where the sheet is and where to put the
    answers. Run it again when they are there, and it goes on.
    """

    kind = "labels-file"

    path: AwaitedPaths
    """The file with the answers, files or a pattern (`labels/*.csv`): CSV, TSV, JSON, JSON Lines or
    Parquet. They need not be there yet."""
    labels: Labels = Field(default_factory=Labels)
    """The verdicts that mean A, B, a tie or none, such as ``{A: first, B: second}``; capital and
    small letters are the same."""
    unanswered: Literal["error", "drop"] = "error"
    """The policy while pairs have no answer: end the run, or go on without them and count them."""
    ties: Literal["drop", "keep"] = "drop"
    """Leave out pairs without a winner, or keep them as the data have them, both counted."""

    def sample(self, data: Pairs, sheet: Report, selection: Selection | None = None) -> Pairs:
        from ._label_files import labelled_pairs

        return labelled_pairs(self, data, sheet, selection)
