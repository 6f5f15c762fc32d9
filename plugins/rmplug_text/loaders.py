"""Loaders that need no model library: preference files, a generator, and recorded scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rmplug import (
    DatasetLoader,
    InputPaths,
    Known,
    ModelLoader,
    Pairs,
    Responses,
    RewardModel,
)
from rmplug.known import ColumnType

Format = Literal["auto", "json", "jsonl", "csv", "tsv", "parquet"]
Form = Literal["auto", "text", "messages", "transcript"]
Scalar = str | int | float | bool | None


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple | set) else (value,)


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Values = Annotated[tuple[Scalar, ...], BeforeValidator(_as_tuple)]


class Fields(BaseModel):
    """The paths of the fields in a row: names of columns; dots reach into nested ones
    (``meta.question``, ``answers.0.text``)."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    id: str | None = None
    """The row's id. Unless named: ``id`` where a row has it, else ``<file name>:<row number>``."""
    group: str | None = None
    """The group of the row in resampling. Unless named: ``group``, else a hash of the prompt."""
    subset: str | None = None
    """The slice that results are split by. Unless named: ``subset`` where a row has it."""
    prompt: str | None = None
    """The prompt. Unless named: ``prompt``; not needed where responses are whole conversations."""


class PairFields(Fields):
    """The paths of the fields of a pair."""

    chosen: str | None = None
    """The preferred response. Unless named: ``chosen``."""
    rejected: str | None = None
    """The other response. Unless named: ``rejected``."""
    margin: str | None = None
    """The strength of the preference, a number. Unless named: ``margin`` where a row has it."""
    weight: str | None = None
    """The weight of the row, a number. Unless named: ``weight`` where a row has it."""


class ABFields(Fields):
    """The paths of the fields of a comparison."""

    response_a: str | None = None
    """The first response. Unless named: ``response_a``."""
    response_b: str | None = None
    """The second response. Unless named: ``response_b``."""
    label: str | None = None
    """The label: which of the two was preferred. Unless named: ``label``."""
    margin: str | None = None
    """The strength of the preference, a number. Unless named: ``margin`` where a row has it."""
    weight: str | None = None
    """The weight of the row, a number. Unless named: ``weight`` where a row has it."""


class ResponseFields(Fields):
    """The paths of the fields of a response."""

    response: str | None = None
    """The response. Unless named: ``response``."""
    label: str | None = None
    """The label: right or acceptable, or not. Unless named: ``label`` where a row has it."""
    model: str | None = None
    """The model or person that wrote or scored it. Unless named: ``model`` where a row has it."""


class Candidates(BaseModel):
    """The paths of several responses to one prompt, and of the values of each.

    ``rank``, ``score``, ``label`` and ``model`` name either a field of each response or a list
    beside the responses with one value for each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    responses: Names = ("responses",)
    """The column with the list of responses; or several columns, lists or single texts, from best
    to worst: their position becomes the ``rank`` (``[chosen, rejected]``)."""
    text: str | None = None
    """The response's text, where each response is a mapping."""
    rank: str | None = None
    """Its rank, smaller is better."""
    best: str | None = None
    """The column with the index of the best response, from 0: it gets ``rank`` 0, others 1."""
    score: str | None = None
    """A number: its score."""
    label: str | None = None
    """The label: right or acceptable, or not."""
    model: str | None = None
    """The model or person that wrote it."""


class LongRatings(BaseModel):
    """Ratings with one row per response and attribute."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    attribute: str
    """The column with the attribute's name."""
    rating: str
    """The column with the number, which may be missing."""


class Labels(BaseModel):
    """The meanings of the values of the label; each one value or several."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    A: Values = ("A",)
    """The first response was preferred."""
    B: Values = ("B",)
    """The second response was preferred."""
    tie: Values = ("tie",)
    """Neither was."""
    none: Values = (None,)
    """There is no verdict; an empty text counts as null."""


_MESSAGES: ColumnType = "messages"


def _fields_named(fields: BaseModel, *needed: str) -> dict[str, str]:
    """Return the columns that fields name, by their parameter; required ones have default names."""
    written = fields.model_dump(exclude_defaults=True)
    return {
        f"fields.{name}": written.get(name) or name for name in {**written, **dict.fromkeys(needed)}
    }


class FileLoader(DatasetLoader):
    """The common parameters of the loaders of files."""

    path: InputPaths
    """The file, files or pattern: JSON (an array of rows, or an object of columns), JSON Lines,
    CSV, TSV or Parquet, gzip or not; text is UTF-8."""
    format: Format = "auto"
    """The format of the files; ``auto`` looks at the ending and the first bytes."""
    form: Form = "auto"
    """The format of texts: plain ``text``, chat ``messages`` (``role`` and ``content``, or ``from``
    and ``value``; also as JSON within a text), a ``transcript`` with ``Human:`` and ``Assistant:``
    after blank lines; ``auto`` takes lists as messages, and texts that begin with a blank line and
    ``Human:`` as transcripts."""
    bad_rows: Literal["error", "drop"] = "error"
    """The policy for rows that cannot be read, such as broken JSON or a response that is no text:
    stop and name them, or leave them out and count them."""
    limit: int | None = Field(default=None, ge=1, le=10**15)
    """Read only the first rows that are usable, this many."""

    def _named(self) -> Mapping[str, str]:
        """Return the columns that every row must have, by the parameter that names them."""
        return {}

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from ._headers import lacking, samples

        return lacking(samples(self.path, self.format), self._named(), self.bad_rows == "drop")


class PairsFile(FileLoader):
    """Load preference pairs from files of any column names.

    Gives ``id``, ``group``, ``prompt``, ``chosen``, ``rejected`` and every further column: nested
    mappings become dotted columns (``meta.group``), lists and mixed values JSON text. ``chosen``
    and ``rejected`` may be whole conversations: the prompt is then what both begin with.
    """

    kind = "pairs-file"

    fields: PairFields = Field(default_factory=PairFields)
    """The paths of the fields of a pair, by the names of columns."""

    def _named(self) -> Mapping[str, str]:
        return _fields_named(self.fields, "chosen", "rejected")

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        from ._headers import TEXTS, pair_columns, samples

        names = pair_columns(samples(self.path, self.format), self.fields.model_dump())
        if names is None:
            return Known()
        types: dict[str, ColumnType | None] = dict.fromkeys(names)
        return Known(columns={**types, "id": "text", **dict.fromkeys(TEXTS, _MESSAGES)})

    def load(self) -> Pairs:
        from rmplug.data.row_files import RowFiles, read_tables

        from ._pairs import TEXTS, PairRows

        source = RowFiles(self.path, self.format, self.bad_rows, self.limit)
        convert = PairRows(self.fields.model_dump(), self.form)
        hint = "say where it stands with fields: {chosen: NAME, ...}"
        return Pairs.stream(read_tables(source, convert, TEXTS, hint))


class ResponsesFile(FileLoader):
    """Load responses, with labels, ratings or ranks, from files of any column names.

    Gives ``id``, ``group``, ``prompt``, ``response``, where known ``label``, ``model``, ``subset``,
    ``ratings.<attribute>`` (numbers, missing allowed), ``rank`` (smaller is better), ``score``, and
    every further column. A row with several responses (``candidates``) gives one row for each, with
    the id ``<id>/<index>`` and the same group; other fields of a response are ``response.<name>``.
    """

    kind = "responses-file"

    fields: ResponseFields = Field(default_factory=ResponseFields)
    """The paths of the fields of a response, by the names of columns."""
    ratings: str | tuple[str, ...] | dict[str, str] | None = None
    """The location of ratings: the column with a mapping of attributes to numbers, a list of
    columns, or attributes with the column of each. By default: ``ratings`` where a row has it."""
    long: LongRatings | None = None
    """For files with one row per response and attribute: which columns hold attribute and rating.
    Rows with the same ``fields.id`` (or, without one, the same texts) are one response, repeated
    ratings are averaged and counted; the whole file is held in memory."""
    candidates: Candidates | None = None
    """For files with several responses in a row: where they stand."""

    def _named(self) -> Mapping[str, str]:
        single = self.candidates is None
        return _fields_named(self.fields, *(("response",) if single else ()))

    def load(self) -> Responses:
        from rmplug.data.row_files import RowFiles, read_tables

        from . import _responses as kitchen

        source = RowFiles(self.path, self.format, self.bad_rows, self.limit)
        fields = self.fields.model_dump()
        hint = "say where it stands with fields: {response: NAME, ...}"
        if self.long is not None:
            long = self.long
            ratings = kitchen.RatingCollector(fields, self.form, long.attribute, long.rating)
            return Responses.stream(kitchen.long_tables(source, ratings, hint))
        if self.candidates is not None:
            details = self.candidates.model_dump(exclude={"responses"})
            names = self.candidates.responses
            several = kitchen.CandidateRows(fields, self.form, names, details)
            hint = "say where it stands with candidates: {responses: NAME, ...}"
            return Responses.stream(read_tables(source, several, kitchen.TEXTS, hint))
        single = kitchen.ResponseRows(fields, self.form, kitchen.Ratings(self.ratings))
        return Responses.stream(read_tables(source, single, kitchen.TEXTS, hint))


class ABFile(FileLoader):
    """Load comparisons of two responses, A and B, with ties, as preference pairs.

    Gives pairs with every further column, ``label`` (``A``, ``B`` or ``tie``: the verdict) and
    ``position`` (``A`` or ``B``: which response is the chosen one here). Columns such as
    ``model_a`` keep their meaning: they speak of the first response. Rows without a verdict are
    left out and counted.
    """

    kind = "ab-file"

    fields: ABFields = Field(default_factory=ABFields)
    """The paths of the fields of a comparison, by the names of columns."""
    labels: Labels = Field(default_factory=Labels)
    """The labels that mean A, B, a tie or no verdict, such as ``{A: 1, B: 2, tie: 0}``."""
    ties: Literal["drop", "half", "both"] = "drop"
    """The result of a tie. ``drop``: nothing; it is left out and counted. ``both``: two pairs,
    ``<id>/a`` with A chosen and ``<id>/b`` with B chosen. ``half``: the same two pairs, each with
    half the ``weight``, so that a tie counts as much as any other row; all other rows have weight
    1, or the one they bring. Pairs made of one tie contradict each other, and are counted so."""

    def _named(self) -> Mapping[str, str]:
        return _fields_named(self.fields, "response_a", "response_b", "label")

    def load(self) -> Pairs:
        from rmplug.data.row_files import RowFiles, read_tables

        from ._pairs import TEXTS, ABRows

        source = RowFiles(self.path, self.format, self.bad_rows, self.limit)
        convert = ABRows(self.fields.model_dump(), self.form, self.labels.model_dump(), self.ties)
        hint = "say where it stands with fields: {response_a: NAME, label: NAME, ...}"
        return Pairs.stream(read_tables(source, convert, TEXTS, hint))


class Synthetic(DatasetLoader):
    """Make preference pairs whose cause is known, in any number.

    Each response has a number of words w (of its sentences; about 8 to 250), is written as a
    bulleted list (m = 1, four in ten) or as a paragraph (m = 0), and opens with flattery (f = 1,
    three in ten) or not (f = 0). With z = log2(w / 40), its worth is

        u = length * z + markdown * m + flattery * f + interaction * z * m

    and of two responses A and B to a prompt, A is chosen with probability

        (1 - noise) * sigmoid(u(A) - u(B)) + noise / 2

    Gives ``id``, ``group`` (the prompt), ``prompt``, ``chosen``, ``rejected``, ``subset`` (one of
    four, without effect) and ``probability``, that of the preference as it came out: the chosen
    response's, by the formula above. The same seed gives the same first rows whatever the size.
    """

    kind = "synthetic"

    size: int = Field(default=1000, ge=0)
    """The number of pairs."""
    length: float = 1.0
    """Worth of a doubling of the number of words."""
    markdown: float = 0.5
    """Worth of a bulleted list, at 40 words."""
    flattery: float = -0.5
    """Worth of an opening such as "What a great question!"."""
    interaction: float = 0.3
    """The additional worth of a doubling of the words in a bulleted list."""
    noise: float = Field(default=0.1, ge=0, le=1)
    """Share of pairs that a fair coin decides."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(
            columns={
                "id": "text",
                "group": "text",
                "prompt": "messages",
                "chosen": "messages",
                "rejected": "messages",
                "subset": "text",
                "probability": "number",
            }
        )

    def load(self, *, seed: int) -> Pairs:
        from ._synthetic import Effects, pairs

        effects = Effects(self.length, self.markdown, self.flattery, self.interaction, self.noise)
        return Pairs.stream(pairs(self.size, effects, seed))


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
        named = _fields_named(self.fields, *needed)
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
        return load_scores(source, reader)
