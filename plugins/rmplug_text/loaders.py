"""Loaders of preferences and responses that need no model library: files, and a generator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationInfo, field_validator

from rmplug import DataError, DatasetLoader, InputPaths, Known, Pairs, Responses
from rmplug.errors import some
from rmplug.known import ColumnType

from .fields import (
    ABFields,
    Candidates,
    Form,
    Format,
    Labels,
    LongRatings,
    PairFields,
    ResponseFields,
    fields_named,
)

if TYPE_CHECKING:
    from rmplug.data.row_files import RowFiles

    from ._headers import Sample

_MESSAGES: ColumnType = "messages"


class FileLoader(DatasetLoader):
    """The common parameters of the loaders of files."""

    path: InputPaths
    """The file, files or pattern: JSON (an array of rows, or an object of columns), JSON Lines,
    CSV, TSV or Parquet, gzip or not; text is UTF-8 unless ``encoding`` says otherwise."""
    format: Format = "auto"
    """The format of the files; ``auto`` looks at the ending and the first bytes."""
    delimiter: str | None = None
    """The character that separates the fields of CSV and TSV. By default it is found: commas,
    semicolons, tabs or vertical bars, whichever the header and most rows agree on; another one than
    the ending stands for is noticed, and two that are as likely are refused."""
    encoding: str | None = None
    """The encoding of CSV and TSV, such as ``cp1252`` (Excel on Windows). By default UTF-8, or
    UTF-16 where the file begins with its mark, which is noticed; others cannot be told apart."""
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

    @field_validator("delimiter", "encoding")
    @classmethod
    def _known(cls, value: str | None, info: ValidationInfo) -> str | None:
        from rmplug.data.dialect import wrong_delimiter, wrong_encoding

        wrong = wrong_delimiter if info.field_name == "delimiter" else wrong_encoding
        fault = None if value is None else wrong(value)
        if fault is not None:
            raise ValueError(fault)
        return value

    def _named(self) -> Mapping[str, str]:
        """Return the columns that every row must have, by the parameter that names them."""
        return {}

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        from rmplug.data.dialect import DELIMITED
        from rmplug.data.files import data_files

        from ._headers import lacking

        if self.format not in ("auto", *DELIMITED):
            given = {"delimiter": self.delimiter, "encoding": self.encoding}
            for name in (name for name, value in given.items() if value is not None):
                yield name, f"{self.format} has no {name}: it is for csv and tsv; leave it out"
        try:
            data_files(self.path)
        except DataError as error:
            yield "path", str(error)
            return
        samples = self._samples()
        if samples and all(one is not None and not one.rows for one in samples):
            yield "path", f"{some(path.name for path in self.path)} has a header and no rows"
        yield from lacking(samples, self._named(), self.bad_rows == "drop")

    def _samples(self) -> Sequence[Sample | None]:
        from ._headers import samples

        return samples(self.path, self.format, self.delimiter, self.encoding)

    def _source(self) -> RowFiles:
        from rmplug.data.row_files import RowFiles

        return RowFiles(
            self.path, self.format, self.bad_rows, self.limit, self.delimiter, self.encoding
        )


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
        return fields_named(self.fields, "chosen", "rejected")

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        from ._headers import TEXTS, pair_columns

        names = pair_columns(self._samples(), self.fields.model_dump())
        if names is None:
            return Known()
        types: dict[str, ColumnType | None] = dict.fromkeys(names)
        return Known(columns={**types, "id": "text", **dict.fromkeys(TEXTS, _MESSAGES)})

    def load(self) -> Pairs:
        from rmplug.data.row_files import read_tables

        from ._pairs import TEXTS, PairRows

        source = self._source()
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
        return fields_named(self.fields, *(("response",) if single else ()))

    def load(self) -> Responses:
        from rmplug.data.row_files import read_tables

        from . import _responses as kitchen

        source = self._source()
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
        return fields_named(self.fields, "response_a", "response_b", "label")

    def load(self) -> Pairs:
        from rmplug.data.row_files import read_tables

        from ._pairs import TEXTS, ABRows

        source = self._source()
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
