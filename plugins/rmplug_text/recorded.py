"""A loader of recorded scores, which serves them as a reward model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rmplug import (
    InputPaths,
    Known,
    ModelLoader,
    RewardModel,
)

from .fields import (
    Form,
    Format,
    Values,
    fields_named,
)


class ScoreFields(BaseModel):
    """The paths of the fields of a recorded score, by the names of columns."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    score: str = "score"
    """The score: a number, a list of one number, or null."""
    id: str | None = None
    """The id of the response, such as ``<pair id>/chosen``; with ``side``, or with ``chosen`` and
    ``rejected``, the id of the pair. Unless named: ``id`` where a row has it."""
    side: str | None = None
    """The column that says which response of the pair was scored; see ``sides``."""
    chosen: str | None = None
    """The chosen response's score, where a row has the scores of both responses."""
    rejected: str | None = None
    """The rejected response's score, where a row has the scores of both responses."""
    prompt: str | None = None
    """The prompt. Unless named: ``prompt`` where a row has it."""
    response: str | None = None
    """The response. Unless named: ``response`` where a row has it."""
    model: str | None = None
    """The model that gave the score. Unless named: ``model`` where a row has it."""


class Sides(BaseModel):
    """The values of ``fields.side`` for the responses of a pair."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    chosen: Values = ("chosen", 1, True)
    """The preferred response."""
    rejected: Values = ("rejected", 0, False)
    """The other response."""


class Recorded(ModelLoader):
    """Serve scores that were recorded in a file as if the reward model itself were asked.

    A response is looked up by its id, or by the texts of its prompt and response (equal to the
    letter). Each asked response must have exactly one score, unless ``missing`` or ``duplicates``
    say otherwise; null and NaN scores are returned as NaN and counted. One output, ``reward``.

    Reads what ``rewardbench`` writes (``<model>_outputs.jsonl``, scores as numbers or as lists of
    one; or one object with a list for each column) and the output files of JudgeBench's reward
    models (two games; where a score changes with the order, the mean is taken, and counted).
    """

    kind = "recorded"

    path: InputPaths
    """The file, files or pattern, written as for ``pairs-file``."""
    format: Format = "auto"
    """The format of the files; ``auto`` looks at the ending and the first bytes."""
    form: Form = "auto"
    """The format of texts, as for ``pairs-file``."""
    layout: Literal["auto", "scores", "rewardbench", "judgebench"] = "auto"
    """The kind of row: one with ``scores``, by ``fields``; a row of ``rewardbench``, where the id
    is ``<subset>:<id>`` if a number repeats in each subset; a row of JudgeBench. ``auto`` knows the
    last two by their columns, unless ``fields`` say where the texts or ids stand."""
    fields: ScoreFields = Field(default_factory=ScoreFields)
    """The paths of the fields of a recorded score, by the names of columns."""
    sides: Sides = Field(default_factory=Sides)
    """The meanings of the values of ``fields.side``."""
    model: str | None = None
    """Only the scores of this model."""
    where: dict[str, Values] = Field(default_factory=dict)
    """Only rows whose columns have these values: ``{meta.kind: classifier}``."""
    by: Literal["auto", "id", "text"] = "auto"
    """The key that a response is looked up by: its ``id``, its ``text``, or (``auto``) its id and,
    where the file has no such id, by its text."""
    missing: Literal["error", "nan"] = "error"
    """The policy for a response without a score: stop, or return NaN and count it."""
    duplicates: Literal["error", "mean", "first"] = "error"
    """The policy for a response with several different scores."""
    bad_rows: Literal["error", "drop"] = "error"
    """The policy for rows of the file that cannot be read."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("reward",))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from ._headers import lacking, samples

        both = self.fields.chosen or self.fields.rejected
        needed = ("score",) if self.layout == "scores" and not both else ()
        named = fields_named(self.fields, *needed)
        named |= {f"where.{column}": column for column in self.where}
        # a first row that is not wanted, or may be left out, tells nothing of the others
        some_rows = self.bad_rows == "drop" or bool(self.where) or self.model is not None
        return lacking(samples(self.path, self.format), named, some_rows)

    def load(self) -> RewardModel:
        from rmplug.data.row_files import RowFiles

        from ._recorded import Lookup, ScoreReader, load_scores

        wanted = dict(self.where)
        if self.model is not None:
            wanted[self.fields.model or "model"] = (self.model,)
        lookup = Lookup(self.by, self.missing, self.duplicates)
        fields, sides = self.fields.model_dump(), self.sides.model_dump()
        source = RowFiles(self.path, self.format, self.bad_rows)
        reader = ScoreReader(lookup, fields, sides, wanted, self.form, self.layout)
        return load_scores(self, source, reader)
